//! The two slots.

use dunlin_config_format::Reason;
use dunlin_config_format::config::Config;
use dunlin_config_format::flash_map::{IMAGE_SIZE, PAGE_SIZE, SECTOR_SIZE, SLOTS};
use dunlin_config_format::image::{Checksum, HASH_SIZE, HEADER_SIZE, Header, IMAGE_LEN, checksum};
use dunlin_config_format::limits::BODY_SIZE;
use dunlin_config_format::slot::{self, Slot, State};
use embedded_storage::nor_flash::NorFlash;

use super::flash::{Flash, FlashFault};

/// A slot with a readable image, and its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    header: Header,
    state: State,
}

impl Held {
    fn slot(self) -> Slot {
        Slot { generation: self.header.generation, state: self.state }
    }
}

/// The configuration that was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Its generation.
    pub generation: u32,
    /// Hash of its image.
    pub hash: [u8; HASH_SIZE],
    /// Length of its body in bytes.
    pub body_len: usize,
    /// Whether it has been confirmed.
    pub confirmed: bool,
    /// Whether it was confirmed because a person vouched for it.
    pub vouched: bool,
    /// Failed attempts.
    pub attempts: u8,
    /// Whether there is a confirmed configuration to go back to.
    pub has_fallback: bool,
}

/// How an update begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// The slot is erased; pages may be written.
    Ready,
    /// The image is running and confirmed; nothing was erased.
    Unchanged,
}

/// Why an update cannot begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeginError {
    /// The image is longer than a slot takes.
    TooLong,
    /// The slot could not be erased.
    Flash(FlashFault),
}

/// Why an update cannot be finished. Nothing has changed: the configuration before it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishError {
    /// No update has begun.
    NotBegun,
    /// The first bytes are no header that this firmware can read.
    Image,
    /// What was written has another length or hash than was announced, or is not what its header says.
    Hash,
    /// The header could not be written.
    Flash(FlashFault),
}

/// An update that has begun.
struct Update {
    slot: usize,
    /// Length of the image in bytes, as announced.
    length: u32,
    generation: u32,
    header: [u8; HEADER_SIZE],
}

/// The slot store over a flash chip.
pub struct Store<F> {
    flash: Flash<F>,
    /// The slot of the running configuration; none once an update has erased it.
    running: Option<usize>,
    /// Slots whose image is whole, but whose body this firmware cannot read: as good as empty.
    unreadable: [bool; 2],
    update: Option<Update>,
}

impl<F: NorFlash> Store<F> {
    /// Takes the flash chip. Touches nothing.
    pub const fn new(flash: F) -> Self {
        Store { flash: Flash(flash), running: None, unreadable: [false; 2], update: None }
    }

    /// Loads the configuration to run into `body`; none means that nothing can be run. Writes nothing.
    ///
    /// A slot whose image is damaged, or whose body this firmware cannot read, is as good as empty.
    pub fn load(&mut self, body: &mut [u8; BODY_SIZE]) -> Option<Loaded> {
        self.running = None;
        self.unreadable = [false; 2];
        let held = [self.intact(0), self.intact(1)];
        loop {
            let slots = self.readable(held);
            let index = slot::choose(&slots)?;
            let Held { header, state } = held.get(index).copied().flatten()?;
            let len = header.body_len as usize;
            let bytes = body.get_mut(..len)?;
            let read = self.flash.read(address(index) + HEADER_SIZE as u32, bytes);
            if read.is_ok() && checksum(bytes) == header.body_crc && Config::decode(bytes).is_ok() {
                self.running = Some(index);
                return Some(Loaded {
                    generation: header.generation,
                    hash: header.hash,
                    body_len: len,
                    confirmed: state.confirmed,
                    vouched: state.confirmed && state.reason == Some(Reason::Vouched.code()),
                    attempts: state.attempts,
                    has_fallback: slot::fallback(&slots, index).is_some(),
                });
            }
            *self.unreadable.get_mut(index)? = true;
        }
    }

    /// Returns generation and reason of the configuration that was given up for the running one.
    pub fn given_up(&mut self) -> Option<(u32, Option<Reason>)> {
        let running = self.running?;
        let other = 1 - running.min(1);
        let (running, other) =
            (self.header(running)?, Held { header: self.header(other)?, state: self.state(other).ok()? });
        let is_given_up =
            !other.slot().is_runnable() && slot::is_newer(other.header.generation, running.generation);
        is_given_up.then(|| (other.header.generation, other.state.reason.and_then(Reason::from_code)))
    }

    /// Begins an update with an image of `length` bytes.
    ///
    /// Erases the slot that is not the newest confirmed one, its first sector first: without its header a slot is empty,
    /// whatever its flags say. The image of the running confirmed configuration changes nothing, unless it is to be stored
    /// `again`. Where the slot is that of the running configuration, its trial can no longer be decided.
    ///
    /// # Errors
    /// [`BeginError`]; the newest confirmed configuration is untouched.
    pub fn begin(&mut self, length: u32, hash: &[u8; HASH_SIZE], again: bool) -> Result<Begin, BeginError> {
        self.update = None;
        if !(HEADER_SIZE as u32 + 1..=IMAGE_LEN as u32).contains(&length) {
            return Err(BeginError::TooLong);
        }
        let held = [self.intact(0), self.intact(1)];
        let running = self.running.and_then(|index| held.get(index).copied().flatten());
        if running.is_some_and(|held| !again && held.slot().is_confirmed() && held.header.hash == *hash) {
            return Ok(Begin::Unchanged);
        }
        let index = slot::target(&self.readable(held));
        let generation = self.next_generation();
        self.running = self.running.filter(|&running| running != index);
        let sectors = length.div_ceil(SECTOR_SIZE);
        for sector in (0..sectors).chain([IMAGE_SIZE / SECTOR_SIZE]) {
            self.flash.erase(address(index) + sector * SECTOR_SIZE).map_err(BeginError::Flash)?;
        }
        self.update = Some(Update { slot: index, length, generation, header: [0xff; HEADER_SIZE] });
        Ok(Begin::Ready)
    }

    /// Writes a page of the image at `offset`, a multiple of the page size, and reads it back. The header is kept back.
    ///
    /// # Errors
    /// [`FlashFault`]; also where no update has begun, or the page is not one of the image. The update must begin again.
    pub fn write_page(&mut self, offset: u32, page: &[u8]) -> Result<(), FlashFault> {
        let fault = FlashFault { address: offset };
        let update = self.update.as_mut().ok_or(fault)?;
        let end = offset.saturating_add(page.len() as u32);
        if !offset.is_multiple_of(PAGE_SIZE) || page.len() > PAGE_SIZE as usize || end > IMAGE_SIZE {
            return Err(fault);
        }
        if offset > 0 {
            return self.flash.program(address(update.slot) + offset, page);
        }
        let (header, rest) = page.split_first_chunk::<HEADER_SIZE>().ok_or(fault)?;
        update.header = *header;
        self.flash.program(address(update.slot) + HEADER_SIZE as u32, rest)
    }

    /// Checks the image that was written against its header, and stores the header; returns the new generation.
    ///
    /// Once this has returned, no power cut loses the image.
    ///
    /// # Errors
    /// [`FinishError`]; the slot stays empty.
    pub fn finish(&mut self, hash: &[u8; HASH_SIZE]) -> Result<u32, FinishError> {
        let Update { slot, length, generation, header } = self.update.take().ok_or(FinishError::NotBegun)?;
        let header = Header::decode(&header).map_err(|_| FinishError::Image)?;
        if (header.hash, header.image_len()) != (*hash, length) || !self.matches(slot, &header) {
            return Err(FinishError::Hash);
        }
        let header = Header { generation, ..header }.encode();
        self.flash.program(address(slot), &header).map_err(FinishError::Flash)?;
        if let Some(unreadable) = self.unreadable.get_mut(slot) {
            *unreadable = false;
        }
        Ok(generation)
    }

    /// Marks the running configuration as confirmed; false where it is not stored any more, because an update has begun in its
    /// slot.
    ///
    /// # Errors
    /// [`FlashFault`]; the configuration stays on trial.
    pub fn confirm(&mut self) -> Result<bool, FlashFault> {
        let Some(index) = self.running else { return Ok(false) };
        self.set(state_address(index) + slot::CONFIRMED_OFFSET, slot::SET)?;
        Ok(true)
    }

    /// Notes a failed attempt of the running configuration; returns whether it was the last one that it had.
    ///
    /// # Errors
    /// [`FlashFault`]; the attempt does not count.
    pub fn record_attempt(&mut self, reason: Reason) -> Result<bool, FlashFault> {
        let Some(index) = self.running else { return Ok(false) };
        self.note(index, reason);
        self.set(state_address(index) + slot::ATTEMPTS_OFFSET, slot::SET)?;
        Ok(self.state(index)?.attempts >= slot::ATTEMPTS)
    }

    /// Marks the running configuration as confirmed because a person vouches for it, and notes that; else like
    /// [`confirm`](Self::confirm).
    ///
    /// # Errors
    /// [`FlashFault`]; the configuration stays on trial.
    pub fn vouch(&mut self) -> Result<bool, FlashFault> {
        let Some(index) = self.running else { return Ok(false) };
        self.note(index, Reason::Vouched);
        self.confirm()
    }

    /// Gives the running configuration up for the confirmed one before it; returns that one's generation, none where there is
    /// none.
    ///
    /// # Errors
    /// [`FlashFault`]; the running configuration stays.
    pub fn roll_back(&mut self, reason: Reason) -> Result<Option<u32>, FlashFault> {
        let held = [self.intact(0), self.intact(1)];
        let slots = self.readable(held);
        let Some(index) = self.running else { return Ok(None) };
        let fallback = slot::fallback(&slots, index).and_then(|index| slots.get(index).copied().flatten());
        let Some(fallback) = fallback else { return Ok(None) };
        self.note(index, reason);
        self.set(state_address(index) + slot::REJECTED_OFFSET, slot::SET)?;
        Ok(Some(fallback.generation))
    }

    /// Reads the running image from `offset` on, with the generation of a file; returns how many bytes there were and the
    /// image's header.
    ///
    /// # Errors
    /// [`FlashFault`]. None where nothing runs.
    pub fn read_image(
        &mut self,
        offset: u32,
        bytes: &mut [u8],
    ) -> Result<Option<(usize, Header)>, FlashFault> {
        let Some(index) = self.running else { return Ok(None) };
        let Some(header) = self.header(index) else { return Ok(None) };
        let len = (header.image_len().saturating_sub(offset) as usize).min(bytes.len());
        let target = bytes.get_mut(..len).unwrap_or_default();
        self.flash.read(address(index) + offset, target)?;
        let file_header = Header { generation: 0, ..header }.encode();
        for (byte, original) in target.iter_mut().zip(file_header.iter().skip(offset as usize)) {
            *byte = *original;
        }
        Ok(Some((len, header)))
    }

    /// Reads the beginning of the body that [`load`](Self::load) would choose now; returns how many bytes that is. Writes
    /// nothing.
    pub fn peek(&mut self, start: &mut [u8]) -> Option<usize> {
        let held = [self.intact(0), self.intact(1)];
        let index = slot::choose(&self.readable(held))?;
        let len = start.len().min(held.get(index).copied().flatten()?.header.body_len as usize);
        self.flash.read(address(index) + HEADER_SIZE as u32, start.get_mut(..len)?).ok()?;
        Some(len)
    }

    /// Returns hash, generation and state of the newest image, whether it is run or not.
    pub fn newest(&mut self) -> Option<(Header, State)> {
        let held = [self.intact(0), self.intact(1)];
        let [a, b] = held;
        match (a, b) {
            (Some(a), Some(b)) => {
                let newest = if slot::is_newer(b.header.generation, a.header.generation) { b } else { a };
                Some((newest.header, newest.state))
            }
            (a, b) => a.or(b).map(|held| (held.header, held.state)),
        }
    }

    /// Empties both slots, the older one first.
    ///
    /// # Errors
    /// [`FlashFault`]; call again.
    pub fn erase_slots(&mut self) -> Result<(), FlashFault> {
        self.update = None;
        let held = [self.intact(0), self.intact(1)];
        let first = slot::target(&self.readable(held));
        for index in [first, 1 - first.min(1)] {
            for sector in 0..SLOTS[0].size / SECTOR_SIZE {
                self.flash.erase(address(index) + sector * SECTOR_SIZE)?;
            }
        }
        self.running = None;
        Ok(())
    }

    /// Returns the flash chip.
    pub(super) fn flash(&mut self) -> &mut Flash<F> {
        &mut self.flash
    }

    /// Returns generations that a slot can still use: secrets for older ones can go.
    pub(super) fn generations(&mut self) -> [Option<u32>; 2] {
        [0, 1].map(|index| self.header(index).map(|header| header.generation))
    }

    /// Returns the generation that the update under way, or else the next one, will have.
    pub(super) fn next_generation(&mut self) -> u32 {
        if let Some(update) = &self.update {
            return update.generation;
        }
        let slots = [self.intact(0), self.intact(1)].map(|held| held.map(Held::slot));
        slot::next_generation(&slots, self.newest_secret())
    }

    /// Returns the generation of the running configuration.
    pub(super) fn running_generation(&mut self) -> Option<u32> {
        let index = self.running?;
        self.header(index).map(|header| header.generation)
    }

    fn header(&mut self, index: usize) -> Option<Header> {
        let mut bytes = [0; HEADER_SIZE];
        self.flash.read(address(index), &mut bytes).ok()?;
        Header::decode(&bytes).ok()
    }

    fn state(&mut self, index: usize) -> Result<State, FlashFault> {
        let at = state_address(index);
        let attempts = self.flash.read_words(at + slot::ATTEMPTS_OFFSET)?;
        let reasons = self.flash.read_words(at + slot::REASONS_OFFSET)?;
        let rejected = self.flash.read_words(at + slot::REJECTED_OFFSET)?;
        let confirmed = self.flash.read_words(at + slot::CONFIRMED_OFFSET)?;
        Ok(State::decode(&attempts, &reasons, &rejected, &confirmed))
    }

    /// Returns header and state of a slot whose image is whole.
    fn intact(&mut self, index: usize) -> Option<Held> {
        let header = self.header(index)?;
        let state = self.state(index).ok()?;
        self.matches(index, &header).then_some(Held { header, state })
    }

    /// Returns whether the slot's body and assets are those of `header`.
    fn matches(&mut self, index: usize, header: &Header) -> bool {
        let body_at = address(index) + HEADER_SIZE as u32;
        self.crc(body_at, header.body_len) == Some(header.body_crc)
            && self.crc(body_at + header.body_len, header.assets_len) == Some(header.assets_crc)
    }

    fn crc(&mut self, address: u32, len: u32) -> Option<u32> {
        let mut crc = Checksum::new();
        self.flash.read_through(address, len, |piece| crc.update(piece)).ok()?;
        Some(crc.finish())
    }

    /// Returns what can be run or gone back to.
    fn readable(&self, held: [Option<Held>; 2]) -> [Option<Slot>; 2] {
        let [a, b] = held.map(|held| held.map(Held::slot));
        let [no_a, no_b] = self.unreadable;
        [a.filter(|_| !no_a), b.filter(|_| !no_b)]
    }

    /// Notes why, before the flag that it explains. What follows does not depend on it: with eight torn reasons, the flag is
    /// still set.
    fn note(&mut self, index: usize, reason: Reason) {
        let _ = self.set(state_address(index) + slot::REASONS_OFFSET, slot::reason_word(reason));
    }

    /// Programs the next free word of an array. A word that does not read back is left, and the next one is used.
    fn set(&mut self, array: u32, value: u32) -> Result<(), FlashFault> {
        for _ in 0..slot::WORDS {
            let words = self.flash.read_words(array)?;
            let Some(index) = slot::free_word(&words) else { break };
            if self.flash.program(array + 4 * index as u32, &value.to_le_bytes()).is_ok() {
                return Ok(());
            }
        }
        Err(FlashFault { address: array })
    }
}

fn address(index: usize) -> u32 {
    let [a, b] = SLOTS;
    if index == 0 { a.address } else { b.address }
}

fn state_address(index: usize) -> u32 {
    address(index) + IMAGE_SIZE
}
