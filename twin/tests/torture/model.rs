//! What a node's store must hold, told without flash: a plain list of configurations and secrets.

use std::rc::Rc;

use dunlin_agent::store::{Loaded, Store};
use dunlin_config_format::Reason;
use dunlin_config_format::image::HEADER_SIZE;
use dunlin_config_format::limits::BODY_SIZE;
use dunlin_twin::devices::nor_flash::NorFlash;

use crate::payload::Payload;

/// Names of the secrets.
pub(crate) const SECRETS: [&str; 2] = ["mqtt.password", "remote.key"];
const ATTEMPTS: u8 = 3;

/// One thing that is done to the store.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Secret(usize, Vec<u8>),
    Begin(Rc<Payload>),
    Page(usize),
    Finish,
    Reload,
    Confirm,
    Attempt(Reason),
    RollBack,
    EraseSlots,
    EraseSecrets,
}

/// A configuration that was stored.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    image: Rc<Payload>,
    generation: u32,
    confirmed: bool,
    rejected: bool,
    attempts: u8,
    reason: Option<Reason>,
}

impl Entry {
    fn is_runnable(&self) -> bool {
        !self.rejected && (self.confirmed || self.attempts < ATTEMPTS)
    }

    fn is_confirmed(&self) -> bool {
        self.confirmed && !self.rejected
    }
}

/// What is stored, oldest first, and what the agent has in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Model {
    entries: Vec<Entry>,
    secrets: Vec<(usize, u32, Vec<u8>)>,
    running: Option<u32>,
    update: Option<(Rc<Payload>, u32)>,
}

impl Model {
    /// Returns what `step` makes of this, and every state that a power cut can leave on the way, this one included.
    pub(crate) fn after(&self, step: &Step) -> (Model, Vec<Model>) {
        let mut after = self.clone();
        let mut on_the_way = vec![self.clone()];
        match step {
            Step::Secret(name, value) => {
                let generation = self.next_generation();
                if self.secret(*name, generation) != Some(value) {
                    after.secrets.retain(|(n, g, _)| (n, g) != (name, &generation));
                    after.secrets.push((*name, generation, value.clone()));
                }
            }
            Step::Begin(image) => {
                after.update = None;
                let is_same = |entry: &Entry| entry.is_confirmed() && entry.image.hash == image.hash;
                if !self.running_entry().is_some_and(is_same) {
                    let generation = after.next_generation();
                    after.drop_victim();
                    after.update = Some((image.clone(), generation));
                }
            }
            Step::Page(_) => {}
            Step::Finish => {
                if let Some((image, generation)) = after.update.take() {
                    after.entries.push(Entry {
                        image,
                        generation,
                        confirmed: false,
                        rejected: false,
                        attempts: 0,
                        reason: None,
                    });
                }
            }
            Step::Reload => after.running = after.chosen().map(|entry| entry.generation),
            Step::Confirm => after.with_running(|entry| entry.confirmed = true),
            Step::Attempt(reason) => after.with_running(|entry| {
                entry.attempts += 1;
                entry.reason = Some(*reason);
            }),
            Step::RollBack => {
                if after.has_fallback() {
                    after.with_running(|entry| {
                        entry.rejected = true;
                        entry.reason = Some(Reason::Requested);
                    });
                }
            }
            Step::EraseSlots => {
                after.update = None;
                after.drop_victim();
                on_the_way.push(after.clone());
                after.entries.clear();
                after.running = None;
            }
            Step::EraseSecrets => after.secrets.clear(),
        }
        on_the_way.push(after.clone());
        (after, on_the_way)
    }

    /// Returns whether the agent would do this now: the supervisor decides a trial once, and pages belong to an update.
    pub(crate) fn admits(&self, step: &Step) -> bool {
        match step {
            Step::Page(_) | Step::Finish => self.update.is_some(),
            Step::Confirm | Step::Attempt(_) => {
                self.running_entry().is_none_or(|entry| !entry.confirmed && entry.attempts < ATTEMPTS)
            }
            _ => true,
        }
    }

    /// Forgets what is in memory, and starts.
    pub(crate) fn restart(&mut self) {
        self.update = None;
        self.running = self.chosen().map(|entry| entry.generation);
    }

    /// Returns the image and the generation of the update that is under way.
    pub(crate) fn update(&self) -> Option<(&Payload, u32)> {
        self.update.as_ref().map(|(image, generation)| (&**image, *generation))
    }

    /// Returns the image that runs.
    pub(crate) fn image(&self) -> Option<&Rc<Payload>> {
        self.running_entry().map(|entry| &entry.image)
    }

    /// Returns whether a start that found `loaded` has found this.
    pub(crate) fn is_found(
        &self,
        loaded: Option<Loaded>,
        body: &[u8; BODY_SIZE],
        store: &mut Store<NorFlash>,
        file: &mut [u8],
    ) -> bool {
        let (Some(entry), Some(loaded)) = (self.chosen(), loaded) else {
            return self.chosen().is_none() && loaded.is_none();
        };
        let given_up = self
            .entries
            .iter()
            .find(|other| other.generation > entry.generation && !other.is_runnable())
            .map(|other| (other.generation, other.reason));
        let is_same = (loaded.generation, loaded.hash, loaded.confirmed, loaded.attempts)
            == (entry.generation, entry.image.hash, entry.confirmed, entry.attempts);
        let expected_body = entry.image.file.get(HEADER_SIZE..HEADER_SIZE + loaded.body_len);
        is_same
            && loaded.has_fallback == self.other(entry).is_some_and(Entry::is_confirmed)
            && body.get(..loaded.body_len) == expected_body
            && matches!(store.read_image(0, file), Ok(Some((len, _))) if file.get(..len) == Some(&entry.image.file))
            && store.given_up() == given_up
            && SECRETS.iter().enumerate().all(|(index, name)| {
                let found = store.secret(name);
                found.as_ref().map(|secret| secret.expose())
                    == self.secret(index, entry.generation).map(Vec::as_slice)
            })
    }

    fn next_generation(&self) -> u32 {
        if let Some((_, generation)) = &self.update {
            return *generation;
        }
        let next = self.entries.iter().map(|entry| entry.generation).max().unwrap_or(0) + 1;
        self.secrets.iter().map(|(_, generation, _)| *generation).chain([next]).max().unwrap_or(next)
    }

    /// Returns the newest value of a secret that is not newer than `generation`.
    fn secret(&self, name: usize, generation: u32) -> Option<&Vec<u8>> {
        let fits = self.secrets.iter().filter(|(n, g, _)| *n == name && *g <= generation);
        fits.max_by_key(|(_, generation, _)| *generation).map(|(_, _, value)| value)
    }

    /// The newest that may run.
    fn chosen(&self) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| entry.is_runnable())
    }

    fn running_entry(&self) -> Option<&Entry> {
        self.entries.iter().find(|entry| Some(entry.generation) == self.running)
    }

    fn with_running(&mut self, change: impl FnOnce(&mut Entry)) {
        let running = self.running;
        if let Some(entry) = self.entries.iter_mut().find(|entry| Some(entry.generation) == running) {
            change(entry);
        }
    }

    fn has_fallback(&self) -> bool {
        self.running_entry().and_then(|entry| self.other(entry)).is_some_and(Entry::is_confirmed)
    }

    fn other(&self, entry: &Entry) -> Option<&Entry> {
        self.entries.iter().find(|other| other.generation != entry.generation)
    }

    /// Of two, one stays: the newest confirmed, or else the newest that runs, or else the newest.
    fn drop_victim(&mut self) {
        if self.entries.len() < 2 {
            return;
        }
        let newest = |keep: fn(&Entry) -> bool| self.entries.iter().rposition(keep);
        let kept = newest(Entry::is_confirmed).or(newest(Entry::is_runnable)).unwrap_or(1);
        let kept = self.entries.swap_remove(kept);
        if self.running.is_some_and(|running| running != kept.generation) {
            self.running = None;
        }
        self.entries = vec![kept];
    }
}
