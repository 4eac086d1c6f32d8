//! The state of a configuration slot, and which slot is run. Pure functions over what was read.
//!
//! The state sector holds four arrays of eight words, each in a page of its own. A word is programmed once: to all zeros
//! for a flag, to a code and its complement for a reason. One that is not erased any more, because a power cut tore it, is
//! never programmed again; the next one is used. An array that has no erased word left counts as set: whatever was to be noted
//! was begun eight times.

use crate::Reason;

/// Words of each array.
pub const WORDS: usize = 8;
/// Attempts after which a configuration is given up.
pub const ATTEMPTS: u8 = 3;
/// Offset of the attempts in the state sector.
pub const ATTEMPTS_OFFSET: u32 = 0x000;
/// Offset of the reasons in the state sector.
pub const REASONS_OFFSET: u32 = 0x100;
/// Offset of the rejected flag in the state sector.
pub const REJECTED_OFFSET: u32 = 0x200;
/// Offset of the confirmed flag in the state sector.
pub const CONFIRMED_OFFSET: u32 = 0x300;
/// An erased word.
pub const ERASED: u32 = u32::MAX;
/// A word that was programmed as a flag.
pub const SET: u32 = 0;

/// One array of the state sector.
pub type Words = [u32; WORDS];

/// Returns whether a flag's word counts: it has fewer than 16 ones, so that neither a torn program nor a few flipped bits
/// make a flag of an erased word or erase one that was set.
pub fn is_set(word: u32) -> bool {
    word.count_ones() < 16
}

/// Returns the index of the first word that may be programmed.
pub fn free_word(words: &Words) -> Option<usize> {
    words.iter().position(|&word| word == ERASED)
}

/// Returns whether a flag's array counts as set.
pub fn is_flagged(words: &Words) -> bool {
    words.iter().any(|&word| is_set(word)) || free_word(words).is_none()
}

/// Returns the attempts that their array counts, 0 to 8.
pub fn attempts(words: &Words) -> u8 {
    let set = words.iter().filter(|&&word| is_set(word)).count();
    let count = if free_word(words).is_none() { WORDS } else { set };
    u8::try_from(count).unwrap_or(u8::MAX)
}

/// Returns the word that stores a reason.
pub fn reason_word(reason: Reason) -> u32 {
    let code = reason.code();
    u32::from(code) | u32::from(!code) << 16
}

/// Returns the code that a word stores; none where it is no reason.
pub fn reason_code(word: u32) -> Option<u16> {
    let (code, complement) = ((word & 0xffff) as u16, (word >> 16) as u16);
    (code == !complement).then_some(code)
}

/// The state of a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Failed attempts.
    pub attempts: u8,
    /// Whether the configuration has worked.
    pub confirmed: bool,
    /// Whether the configuration was given up.
    pub rejected: bool,
    /// Why, where it is known; also the reason of the last failed attempt.
    pub reason: Option<u16>,
}

impl State {
    /// Returns the state that the four arrays tell.
    pub fn decode(attempts: &Words, reasons: &Words, rejected: &Words, confirmed: &Words) -> Self {
        State {
            attempts: self::attempts(attempts),
            confirmed: is_flagged(confirmed),
            rejected: is_flagged(rejected),
            reason: reasons.iter().rev().find_map(|&word| reason_code(word)),
        }
    }
}

/// A slot whose image is whole and readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Counts configurations.
    pub generation: u32,
    /// Its state.
    pub state: State,
}

impl Slot {
    /// Returns whether the configuration may be run.
    pub fn is_runnable(&self) -> bool {
        !self.state.rejected && (self.state.confirmed || self.state.attempts < ATTEMPTS)
    }

    /// Returns whether the configuration can be gone back to.
    pub fn is_confirmed(&self) -> bool {
        self.state.confirmed && !self.state.rejected
    }
}

/// Returns whether generation `a` is newer than `b`. Generations wrap around.
pub fn is_newer(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < 1 << 31
}

/// Returns the index of the slot to run: the newest runnable one. None means safe mode.
pub fn choose(slots: &[Option<Slot>; 2]) -> Option<usize> {
    newest(slots, Slot::is_runnable)
}

/// Returns the index of the slot to go back to when the one at `running` fails.
pub fn fallback(slots: &[Option<Slot>; 2], running: usize) -> Option<usize> {
    let other = 1 - running.min(1);
    slots.get(other)?.filter(Slot::is_confirmed).map(|_| other)
}

/// Returns the index of the slot that the next configuration is written to: never the newest confirmed one; with none
/// confirmed, one that is not run, or the older.
pub fn target(slots: &[Option<Slot>; 2]) -> usize {
    let keep =
        newest(slots, Slot::is_confirmed).or_else(|| choose(slots)).or_else(|| newest(slots, |_| true));
    keep.map_or(0, |keep| 1 - keep.min(1))
}

/// Returns the generation of the next configuration: one more than the newest, never 0.
///
/// `newest_secret` is the newest generation that a stored secret holds for. Where that is newer still, an update that was not
/// finished has used it; it is used again, so that no generation older than a secret's follows.
pub fn next_generation(slots: &[Option<Slot>; 2], newest_secret: Option<u32>) -> u32 {
    let newest = newest(slots, |_| true).and_then(|index| slots.get(index).copied().flatten());
    let next = newest.map_or(1, |slot| slot.generation.wrapping_add(1).max(1));
    newest_secret.filter(|&generation| is_newer(generation, next)).unwrap_or(next)
}

fn newest(slots: &[Option<Slot>; 2], is_candidate: impl Fn(&Slot) -> bool) -> Option<usize> {
    let [a, b] = slots.map(|slot| slot.filter(|slot| is_candidate(slot)));
    match (a, b) {
        (Some(a), Some(b)) => Some(usize::from(is_newer(b.generation, a.generation))),
        (Some(_), None) => Some(0),
        (None, Some(_)) => Some(1),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(generation: u32, attempts: u8, confirmed: bool, rejected: bool) -> Option<Slot> {
        Some(Slot { generation, state: State { attempts, confirmed, rejected, reason: None } })
    }

    #[test]
    fn the_newest_runnable_slot_is_run() {
        let confirmed = slot(5, 0, true, false);
        assert_eq!(choose(&[None, None]), None);
        assert_eq!(choose(&[confirmed, slot(6, 0, false, false)]), Some(1));
        assert_eq!(choose(&[confirmed, slot(6, 2, false, false)]), Some(1));
        assert_eq!(choose(&[confirmed, slot(6, 3, false, false)]), Some(0));
        assert_eq!(choose(&[confirmed, slot(6, 0, true, true)]), Some(0));
        assert_eq!(choose(&[confirmed, slot(4, 0, true, false)]), Some(0));
        assert_eq!(choose(&[slot(1, 3, false, false), None]), None);
        // A confirmed configuration is never given up for attempts.
        assert_eq!(choose(&[slot(1, 3, true, false), None]), Some(0));
    }

    #[test]
    fn generations_wrap_around_and_skip_zero() {
        assert!(is_newer(1, u32::MAX));
        assert!(!is_newer(u32::MAX, 1));
        assert_eq!(next_generation(&[slot(u32::MAX, 0, true, false), None], None), 1);
        assert_eq!(next_generation(&[None, None], None), 1);
        assert_eq!(next_generation(&[slot(5, 0, true, false), None], Some(3)), 6);
        assert_eq!(next_generation(&[slot(5, 0, true, false), None], Some(7)), 7);
        assert_eq!(choose(&[slot(u32::MAX, 0, true, false), slot(1, 0, false, false)]), Some(1));
    }

    #[test]
    fn the_newest_confirmed_slot_is_never_the_target() {
        let states = [None, slot(1, 0, true, false), slot(1, 0, false, false), slot(1, 3, false, false)];
        let later = [None, slot(2, 0, true, false), slot(2, 0, false, false), slot(2, 0, true, true)];
        for a in states {
            for b in later {
                for slots in [[a, b], [b, a]] {
                    let target = target(&slots);
                    if let Some(confirmed) = newest(&slots, Slot::is_confirmed) {
                        assert_ne!(target, confirmed, "{slots:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_torn_word_is_neither_a_flag_nor_free() {
        let torn = 0x00ff_ffff;
        assert!(!is_set(torn));
        assert_eq!(free_word(&[torn, ERASED, ERASED, ERASED, ERASED, ERASED, ERASED, ERASED]), Some(1));
        assert_eq!(reason_code(reason_word(Reason::BrokerUnreachable)), Some(3));
        assert_eq!(reason_code(ERASED), None);
        assert_eq!(reason_code(0), None);
    }

    #[test]
    fn an_array_without_an_erased_word_counts_as_set() {
        let torn = [0x00ff_ffff; WORDS];
        assert!(is_flagged(&torn));
        assert_eq!(attempts(&torn), 8);
        let [_, rest @ ..] = torn;
        let [b, c, d, e, f, g, h] = rest;
        let one_left = [ERASED, b, c, d, e, f, g, h];
        assert!(!is_flagged(&one_left));
        assert_eq!(attempts(&one_left), 0);
        assert!(is_flagged(&[ERASED, SET, b, c, d, e, f, g]));
    }
}
