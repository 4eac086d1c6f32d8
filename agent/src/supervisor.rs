//! Watches the other parts, ends the trial of a configuration, and feeds the watchdog.
//!
//! A part that waits for a time promises when it will be back at the latest. A promise costs no wake-up: the supervisor
//! compares it with the clock when the agent is awake anyway. A part that waits for others, for as long as they like, is asked whether it
//! is there, and woken only where nothing else has woken it meanwhile. Only when every promise is kept and every question
//! answered is the watchdog fed; else the part is noted in memory that outlives a reset, for the next start to tell.

use core::cell::Cell;
use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;

use dunlin_config_format::Reason;
use embassy_futures::select::select3;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Instant, Timer};

use crate::node::{Change, Shared};
use crate::platform::Part;

/// Longest time between two looks at the promises; the watchdog of the chip bites after 6.7 s at the earliest.
pub(crate) const ROUND: Duration = Duration::from_secs(3);
/// How long after its promise a part may come back: longest erase of a flash sector, and a margin.
const GRACE: Duration = Duration::from_secs(2);
/// How long a part may take to answer. The USB server takes longest: a measurement for a host (5 s), and behind it a frame on
/// a slow line (0.8 s).
const ANSWER: Duration = Duration::from_secs(10);

/// Whether a part is there that waits for others.
#[derive(Default)]
pub struct Presence {
    /// When the part was asked; none once it has answered.
    asked_at: Cell<Option<Instant>>,
    asked: Signal<NoopRawMutex, ()>,
}

impl Presence {
    /// Returns the presence of a part that has not been asked yet.
    pub const fn new() -> Self {
        Presence { asked_at: Cell::new(None), asked: Signal::new() }
    }

    /// Answers. A part does it whenever it has got on, asked or not.
    pub fn answer(&self) {
        self.asked_at.set(None);
    }

    /// Answers whenever it is polled, and waits until the part is asked and nothing else has woken it. Dropping the future loses
    /// nothing.
    pub async fn asked(&self) {
        let mut asked = pin!(self.asked.wait());
        poll_fn(|context| {
            self.answer();
            asked.as_mut().poll(context)
        })
        .await;
    }

    /// Asks; a part that has not answered since the question before is woken.
    fn ask(&self, now: Instant) {
        match self.asked_at.get() {
            None => self.asked_at.set(Some(now)),
            Some(_) => self.asked.signal(()),
        }
    }

    fn is_there(&self, now: Instant) -> bool {
        self.asked_at.get().is_none_or(|asked_at| now <= asked_at.saturating_add(ANSWER))
    }
}

/// When each part will be back at the latest, and whether those are there that can't say.
pub struct Promises {
    /// The sampler.
    pub sampler: Cell<Instant>,
    /// The uplink.
    pub uplink: Cell<Instant>,
    /// The USB server.
    pub server: Presence,
}

impl Default for Promises {
    fn default() -> Self {
        let never = || Cell::new(Instant::MAX);
        Promises { sampler: never(), uplink: never(), server: Presence::new() }
    }
}

impl Promises {
    /// Sampler and uplink are about to be started: they will be there at once.
    pub(crate) fn expect_parts(&self, now: Instant) {
        self.sampler.set(now);
        self.uplink.set(now);
    }

    /// Returns the first part that is late, and asks those that can't promise.
    fn late(&self, network: &Presence, now: Instant) -> Option<Part> {
        self.server.ask(now);
        network.ask(now);
        let is_kept = |promise: &Cell<Instant>| now <= promise.get().saturating_add(GRACE);
        let parts = [
            (Part::Server, self.server.is_there(now)),
            (Part::Network, network.is_there(now)),
            (Part::Sampler, is_kept(&self.sampler)),
            (Part::Uplink, is_kept(&self.uplink)),
        ];
        parts.into_iter().find(|(_, is_well)| !is_well).map(|(part, _)| part)
    }
}

/// What the supervisor may do to the board and its store.
pub(crate) trait Board {
    /// Feeds the watchdog.
    fn feed_watchdog(&self);
    /// Notes for the next start which part is late, or that none is.
    fn note_late(&self, part: Option<Part>);
    /// Marks the running configuration as confirmed.
    fn confirm(&self);
    /// Notes that an attempt of the running configuration has failed.
    fn record_attempt(&self, reason: Reason);
}

/// Looks after every part and feeds the watchdog if all are well; returns whether they are. To be called every [`ROUND`].
pub(crate) fn look_after(promises: &Promises, network: &Presence, board: &impl Board, now: Instant) -> bool {
    let late = promises.late(network, now);
    board.note_late(late);
    if late.is_none() {
        board.feed_watchdog();
    }
    late.is_none()
}

/// Supervises until the configuration is replaced.
///
/// Dropping the future leaves the trial undecided: the next start decides it.
///
/// With nothing confirmed to go back to, a broker that is away never ends the trial.
pub(crate) async fn run(shared: &Shared, network: &Presence, board: &impl Board, confirm_within: Duration) {
    let running = shared.running.get();
    let deadline = running.started.filter(|_| running.has_fallback).map(|started| started + confirm_within);
    loop {
        let now = Instant::now();
        let all_well = look_after(&shared.promises, network, board, now);
        let mut wake_at = now + ROUND;
        if !shared.running.get().confirmed {
            if shared.born.get() && shared.sampled.get() && all_well {
                board.confirm();
                if shared.running.get().confirmed {
                    shared.uplink.leave();
                }
            } else if let Some(deadline) = deadline {
                if now >= deadline {
                    board.record_attempt(shared.obstacle.get().unwrap_or(Reason::PartSilent));
                    return shared.change.signal(Change::Apply);
                }
                wake_at = wake_at.min(deadline);
            }
        }
        select3(shared.supervisor.wait(), Timer::at(wake_at), occasion(now + ROUND / 2)).await;
    }
}

/// Waits until something else has woken the agent, at `from` or later: a look on that occasion costs no wake-up.
async fn occasion(from: Instant) {
    poll_fn(|_| if Instant::now() >= from { Poll::Ready(()) } else { Poll::Pending }).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts feedings, and keeps the note.
    #[derive(Default)]
    struct Watched {
        fed: Cell<u32>,
        late: Cell<Option<Part>>,
    }

    impl Board for Watched {
        fn feed_watchdog(&self) {
            self.fed.set(self.fed.get() + 1);
        }
        fn note_late(&self, part: Option<Part>) {
            self.late.set(part);
        }
        fn confirm(&self) {}
        fn record_attempt(&self, _: Reason) {}
    }

    /// Looks after the parts once a round for a minute; before each look `act` does what the parts do. Returns when the first
    /// look found a part late, and which one.
    fn minute(mut act: impl FnMut(&Promises, &Presence, Instant)) -> Option<(u64, Part)> {
        let (promises, network, board) = (Promises::default(), Presence::new(), Watched::default());
        for second in (0..60).step_by(ROUND.as_secs() as usize) {
            let now = Instant::from_secs(second);
            act(&promises, &network, now);
            let fed = board.fed.get();
            let is_well = look_after(&promises, &network, &board, now);
            assert_eq!(board.fed.get() - fed, u32::from(is_well));
            assert_eq!(board.late.get().is_none(), is_well);
            if let Some(part) = board.late.get() {
                return Some((second, part));
            }
        }
        None
    }

    /// What a part does that is asked and runs.
    fn answer(presence: &Presence) {
        if presence.asked.try_take().is_some() {
            presence.answer();
        }
    }

    #[test]
    fn each_part_that_hangs_is_named() {
        let at = Instant::from_secs;
        let hang = |hung: Part| {
            minute(|promises, network, now| {
                let is_well = |part| part != hung || now < at(20);
                if is_well(Part::Server) {
                    answer(&promises.server);
                }
                if is_well(Part::Network) {
                    answer(network);
                }
                if is_well(Part::Sampler) {
                    promises.sampler.set(now + ROUND);
                }
                if is_well(Part::Uplink) {
                    promises.uplink.set(now + ROUND);
                }
            })
        };
        // Asked at 15 s, it has not answered 10 s later; the last promise was for 21 s.
        assert_eq!(hang(Part::Server), Some((30, Part::Server)));
        assert_eq!(hang(Part::Network), Some((30, Part::Network)));
        assert_eq!(hang(Part::Sampler), Some((24, Part::Sampler)));
        assert_eq!(hang(Part::Uplink), Some((24, Part::Uplink)));
    }

    #[test]
    fn a_part_that_never_starts_is_late() {
        let start = |promises: &Promises, network: &Presence| {
            answer(&promises.server);
            answer(network);
        };
        let started = Cell::new(false);
        let late = minute(|promises, network, now| {
            start(promises, network);
            if !started.replace(true) {
                promises.expect_parts(now);
            }
            promises.sampler.set(Instant::MAX);
        });
        assert_eq!(late, Some((3, Part::Uplink)));
        assert_eq!(minute(|promises, _, _| answer(&promises.server)), Some((12, Part::Network)));
        assert_eq!(minute(|_, network, _| answer(network)), Some((12, Part::Server)));
    }

    #[test]
    fn a_part_that_something_else_wakes_is_not_woken_to_answer() {
        let late = minute(|promises, network, _| {
            for presence in [&promises.server, network] {
                presence.answer();
                assert!(!presence.asked.signaled());
            }
        });
        assert_eq!(late, None);
    }

    #[test]
    fn a_part_that_comes_back_late_is_forgiven() {
        let presence = Presence::new();
        let at = Instant::from_secs;
        presence.ask(at(0));
        assert!(presence.is_there(at(10)) && !presence.is_there(at(11)));
        presence.answer();
        assert!(presence.is_there(at(11)));
    }
}
