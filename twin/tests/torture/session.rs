//! A store on a chip, what may be on it, and what is done to it.

use std::rc::Rc;

use dunlin_agent::store::{Begin, Store};
use dunlin_config_format::Reason;
use dunlin_config_format::flash_map::{IDENTITIES, PAGE_SIZE, SLOTS};
use dunlin_config_format::limits::BODY_SIZE;
use dunlin_twin::devices::nor_flash::NorFlash;
use rand_core::Rng;
use rand_pcg::Pcg32;

use crate::model::{Model, SECRETS, Step};
use crate::payload::{Payload, below, bytes};

/// First address of what the store owns.
pub(crate) const START: u32 = SLOTS[0].address;
/// The address behind it.
pub(crate) const END: u32 = IDENTITIES[1].end();

/// A step failed; the chip may be without power.
#[derive(Debug)]
pub(crate) struct Failed;

/// Looks at a chip as a start does.
pub(crate) struct Start {
    body: Box<[u8; BODY_SIZE]>,
    file: Vec<u8>,
}

impl Start {
    pub(crate) fn new() -> Self {
        Start { body: Box::new([0xa5; BODY_SIZE]), file: vec![0xa5; 0x3000] }
    }

    /// Loads, and keeps those of `models` that were found.
    pub(crate) fn find(&mut self, store: &mut Store<NorFlash>, models: &mut Vec<Model>) {
        let loaded = store.load(&mut self.body);
        models.retain(|model| model.is_found(loaded, &self.body, store, &mut self.file));
    }

    /// Starts `chip`: returns what is wrong, unless one of `models` is found and nothing is written.
    pub(crate) fn check(&mut self, chip: &NorFlash, models: &[Model]) -> Result<(), String> {
        let before = chip.counts();
        let mut store = Store::new(chip.clone());
        let loaded = store.load(&mut self.body);
        if !models.iter().any(|model| model.is_found(loaded, &self.body, &mut store, &mut self.file)) {
            return Err(format!(
                "found {loaded:?}, given up {:?}, expected one of {models:#?}",
                store.given_up()
            ));
        }
        if chip.counts() != before { Err("a start has written".into()) } else { Ok(()) }
    }
}

/// A running store. More than one model: what a power cut left has not shown itself yet.
pub(crate) struct Session {
    pub(crate) chip: NorFlash,
    pub(crate) store: Store<NorFlash>,
    pub(crate) models: Vec<Model>,
    start: Start,
}

impl Session {
    pub(crate) fn new() -> Self {
        let chip = NorFlash::new(END as usize);
        Session { store: Store::new(chip.clone()), chip, models: vec![Model::default()], start: Start::new() }
    }

    /// Takes over a chip in the state of one of `models`.
    pub(crate) fn resume(chip: NorFlash, models: Vec<Model>) -> Result<Self, String> {
        let mut session = Session { store: Store::new(chip.clone()), chip, models, start: Start::new() };
        session.restart()?;
        Ok(session)
    }

    /// Returns power and starts.
    pub(crate) fn restart(&mut self) -> Result<(), String> {
        self.chip.set_power(true);
        self.store = Store::new(self.chip.clone());
        for model in &mut self.models {
            model.restart();
        }
        self.find()
    }

    fn find(&mut self) -> Result<(), String> {
        let expected = self.models.clone();
        self.start.find(&mut self.store, &mut self.models);
        self.models.dedup();
        if self.models.is_empty() { Err(format!("found none of {expected:#?}")) } else { Ok(()) }
    }

    /// Does a step. One that failed may be done, or not, or be on the way.
    pub(crate) fn step(&mut self, step: &Step) -> Result<Result<(), Failed>, String> {
        if !self.models.iter().any(|model| model.admits(step)) {
            return Ok(Ok(()));
        }
        let before = std::mem::take(&mut self.models);
        let generation = match self.act(step, &before) {
            Ok(generation) => generation,
            Err(Failed) => {
                self.models = before.iter().flat_map(|model| model.after(step).1).collect();
                return Ok(Err(Failed));
            }
        };
        let fits = |model: &&Model| {
            generation.is_none_or(|generation| model.update().is_some_and(|(_, g)| g == generation))
        };
        self.models = before.iter().filter(fits).map(|model| model.after(step).0).collect();
        if self.models.is_empty() {
            return Err(format!("`finish` gave {generation:?}, expected one of {before:#?}"));
        }
        if self.chip.counts().misuses > 0 {
            return Err(format!("a word was programmed twice in {step:?}"));
        }
        if matches!(step, Step::Reload) {
            self.find()?;
        }
        Ok(Ok(()))
    }

    /// Returns the generation that `finish` told.
    fn act(&mut self, step: &Step, models: &[Model]) -> Result<Option<u32>, Failed> {
        let update = models.iter().find_map(Model::update);
        let failed = |_| Failed;
        match step {
            Step::Secret(name, value) => {
                self.store.put_secret(SECRETS[*name], value).map_err(|_| Failed)?;
            }
            Step::Begin(image) => {
                let begin = self.store.begin(image.file.len() as u32, &image.hash, false);
                let is_ready = begin.map_err(|_| Failed)? == Begin::Ready;
                assert!(models.iter().any(|model| model.after(step).0.update().is_some() == is_ready));
            }
            Step::Page(index) => {
                let (image, _) = update.ok_or(Failed)?;
                let page = image.file.chunks(PAGE_SIZE as usize).nth(*index).unwrap_or_default();
                self.store.write_page(*index as u32 * PAGE_SIZE, page).map_err(failed)?;
            }
            Step::Finish => {
                let (image, _) = update.ok_or(Failed)?;
                return self.store.finish(&image.hash.clone()).map(Some).map_err(|_| Failed);
            }
            Step::Reload => {}
            Step::Confirm => {
                self.store.confirm().map_err(failed)?;
            }
            Step::Attempt(reason) => {
                self.store.record_attempt(*reason).map_err(failed)?;
            }
            Step::RollBack => {
                self.store.roll_back(Reason::Requested).map_err(failed)?;
            }
            Step::EraseSlots => self.store.erase_slots().map_err(failed)?,
            Step::EraseSecrets => self.store.erase_secrets().map_err(failed)?,
        }
        Ok(None)
    }

    /// Does steps, of which none may fail.
    pub(crate) fn all(&mut self, steps: &[Step]) -> Result<(), String> {
        for step in steps {
            if self.step(step)?.is_err() {
                return Err(format!("{step:?} failed without a reason"));
            }
        }
        Ok(())
    }

    /// Stores and confirms an image without disturbance: whatever happened before, that must be possible.
    pub(crate) fn complete(&mut self, image: &Rc<Payload>) -> Result<(), String> {
        self.all(&push(image))?;
        self.all(&[Step::Reload, Step::Confirm, Step::Reload])?;
        self.restart()?;
        match self.models.iter().find(|model| model.image() != Some(image)) {
            None => Ok(()),
            Some(model) => Err(format!("an undisturbed update is not what runs: {model:#?}")),
        }
    }
}

/// Returns the steps that store an image.
pub(crate) fn push(image: &Rc<Payload>) -> Vec<Step> {
    let pages = (0..image.pages()).map(Step::Page);
    [Step::Begin(image.clone())].into_iter().chain(pages).chain([Step::Finish]).collect()
}

/// Returns what a host and a node do with a new image, from its push to its end.
pub(crate) fn life(image: &Rc<Payload>, random: &mut Pcg32) -> Vec<Step> {
    let mut steps = push(image);
    // A page that arrives again, and a trial before it that goes on or is decided while pages arrive.
    let at = 1 + below(random, image.pages());
    steps.insert(at + 1, Step::Page(at - 1));
    if random.next_u32().is_multiple_of(4) {
        let step = match random.next_u32() % 4 {
            0 => Step::Attempt(Reason::BrokerSilent),
            1 => Step::Reload,
            _ => Step::Confirm,
        };
        steps.insert(1 + below(random, steps.len() - 1), step);
    }
    for _ in 0..random.next_u32() % 3 {
        let most = if random.next_u32().is_multiple_of(16) { 64 } else { 12 };
        let (name, len) = (below(random, SECRETS.len()), below(random, most + 1));
        steps.insert(0, Step::Secret(name, bytes(random, len)));
    }
    steps.push(Step::Reload);
    let attempt = [Step::Attempt(Reason::BrokerUnreachable), Step::Reload];
    match random.next_u32() % 16 {
        0..=7 => steps.push(Step::Confirm),
        8..=10 => {
            let reasons = [Reason::NoAddress, Reason::Watchdog, Reason::PublishRefused];
            steps.extend(reasons.into_iter().flat_map(|reason| [Step::Attempt(reason), Step::Reload]));
        }
        11 => steps.extend(attempt),
        12 => steps.extend(attempt.into_iter().chain([Step::Confirm])),
        13 => steps.extend([Step::Confirm, Step::RollBack]),
        14 => steps.push(Step::RollBack),
        _ if random.next_u32().is_multiple_of(4) => steps.push(Step::EraseSlots),
        _ if random.next_u32().is_multiple_of(4) => steps.push(Step::EraseSecrets),
        _ => {}
    }
    steps.push(Step::Reload);
    steps
}
