//! What is done to a store, from which state, and what must hold behind a cut.

use dunlin_agent::store::Store;
use dunlin_config_format::Reason;
use dunlin_config_format::config::{
    Config, Device, I2cBus, Link, List, Member, Mqtt, Or, Payload, QoS, Report, Sensor,
};
use dunlin_config_format::driver::Driver;
use dunlin_config_format::image::Header;
use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg32;

use crate::chip::{SIZE, Window, chip_of};

type Hash = [u8; 32];

/// Two images of random content and size.
pub(crate) struct Images {
    old: Vec<u8>,
    new: Vec<u8>,
}

impl Images {
    pub(crate) fn random(seed: u64) -> Self {
        let mut random = Pcg32::seed_from_u64(seed);
        Images { old: image(&mut random), new: image(&mut random) }
    }

    /// Returns whether these are hash and body of one of both.
    pub(crate) fn are_of(&self, hash: &Hash, body: &[u8]) -> bool {
        let whole = |image: &Vec<u8>| {
            Header::decode(image).is_ok_and(|header| header.hash == *hash) && image[64..] == *body
        };
        whole(&self.old) || whole(&self.new)
    }

    pub(crate) fn old_hash(&self) -> Hash {
        Header::decode(&self.old).unwrap().hash
    }

    pub(crate) fn new_hash(&self) -> Hash {
        Header::decode(&self.new).unwrap().hash
    }
}

/// Returns the image of a valid configuration with random texts.
fn image(random: &mut Pcg32) -> Vec<u8> {
    let letters = |random: &mut Pcg32, most: u32| -> String {
        let len = 1 + random.next_u32() % most;
        (0..len).map(|_| char::from(b'a' + (random.next_u32() % 26) as u8)).collect()
    };
    let (name, label) = (letters(random, 32), letters(random, 64));
    let topics: Vec<String> = (0..1 + random.next_u32() % 5).map(|_| letters(random, 100)).collect();
    let bus = [I2cBus { id: "main", sda: 4, scl: 5, frequency_hz: Or(100_000) }];
    let sensor = [Sensor {
        id: "lux-1",
        label: None,
        driver: Driver::Tsl2591,
        bus: Some(0),
        address: None,
        period_ms: 1_000 + random.next_u32() % 100_000,
        options: List::default(),
        readings: List::default(),
    }];
    let members = [Member { sensor: 0, reading: 0 }];
    let report = |topic| Report {
        id: None,
        topic: Some(topic),
        qos: QoS::AtLeastOnce,
        retain: false,
        payload: Payload::Plain,
        members: List::new(&members),
        every_ms: None,
        filters: List::default(),
    };
    let reports: Vec<Report<'_>> = topics.iter().map(|topic| report(topic.as_str())).collect();
    let config = Config {
        device: Device { name: &name, label: Some(&label) },
        mqtt: Mqtt {
            host: "192.168.1.10",
            port: Or(1883),
            client_identifier: None,
            username: None,
            has_password: true,
            keep_alive_s: Or(60),
            prefix: None,
            confirm_within_s: Or(60),
            stats_every_s: Or(60),
        },
        link: Link::default(),
        i2c: List::new(&bus),
        sensors: List::new(&sensor),
        reports: List::new(&reports),
    };
    let mut body = vec![0; 4096];
    let len = config.encode(&mut body).unwrap();
    body.truncate(len);
    [&Header::new(&body, &[]).encode()[..], &body].concat()
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// The new image is stored.
    Update,
    /// The running image is confirmed.
    Confirm,
    /// An attempt of the running image fails.
    Attempt,
    /// The running image is given up for the one before.
    RollBack,
    /// A secret is stored.
    Secret,
}

impl Script {
    /// Starts a store on the chip and does it; a chip that loses its power ends it.
    pub(crate) fn run(self, window: &Window, images: &Images) {
        let mut store = Store::new(window.clone());
        let mut body = [0; 4096];
        store.load(&mut body);
        match self {
            Script::Update => {
                let _ = update(&mut store, &images.new);
            }
            Script::Confirm => {
                let _ = store.confirm();
            }
            Script::Attempt => {
                let _ = store.record_attempt(Reason::BrokerUnreachable);
            }
            Script::RollBack => {
                let _ = store.roll_back(Reason::Requested);
            }
            Script::Secret => {
                let _ = store.put_secret("mqtt.password", b"another secret");
            }
        }
    }
}

/// Stores an image as the USB server does; false where the chip gave up.
fn update(store: &mut Store<Window>, image: &[u8]) -> bool {
    let hash = Header::decode(image).unwrap().hash;
    if store.begin(image.len() as u32, &hash, true).is_err() {
        return false;
    }
    let pages = image.chunks(256).enumerate();
    for (index, page) in pages {
        if store.write_page(index as u32 * 256, page).is_err() {
            return false;
        }
    }
    store.finish(&hash).is_ok()
}

/// The contents of a chip.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) contents: Vec<u8>,
}

impl State {
    /// The old image is confirmed, and its secret is there.
    pub(crate) fn confirmed(images: &Images) -> Self {
        let window = chip_of(&vec![0xff; SIZE]);
        let mut store = Store::new(window.clone());
        assert!(store.put_secret("mqtt.password", b"a secret").is_ok());
        assert!(update(&mut store, &images.old));
        let mut body = [0; 4096];
        assert!(store.load(&mut body).is_some());
        store.confirm().unwrap();
        State { contents: window.chip.contents() }
    }

    /// Behind it the new image is on trial.
    pub(crate) fn updated(images: &Images) -> Self {
        let window = chip_of(&State::confirmed(images).contents);
        Script::Update.run(&window, images);
        State { contents: window.chip.contents() }
    }
}

/// What may happen, and when.
pub(crate) fn situations(images: &Images) -> Vec<(State, Script)> {
    let (confirmed, trial) = (State::confirmed(images), State::updated(images));
    let both = {
        let window = chip_of(&trial.contents);
        Script::Confirm.run(&window, images);
        State { contents: window.chip.contents() }
    };
    let tried = {
        let window = chip_of(&trial.contents);
        Script::Attempt.run(&window, images);
        State { contents: window.chip.contents() }
    };
    vec![
        (tried, Script::Attempt),
        (confirmed.clone(), Script::Update),
        (confirmed, Script::Secret),
        (trial.clone(), Script::Confirm),
        (trial.clone(), Script::Attempt),
        (trial.clone(), Script::RollBack),
        (trial, Script::Update),
        (both, Script::Update),
    ]
}

/// Starts a node's store; returns generation and hash of what it runs. Writes nothing.
pub(crate) fn load(window: &Window) -> Option<(u32, Hash)> {
    load_body(window).map(|(generation, hash, _)| (generation, hash))
}

/// Starts a node's store; returns generation, hash and body of what it runs. Writes nothing.
pub(crate) fn load_body(window: &Window) -> Option<(u32, Hash, Vec<u8>)> {
    let before = window.chip.counts();
    let mut store = Store::new(window.clone());
    let mut body = [0; 4096];
    let loaded = store
        .load(&mut body)
        .map(|loaded| (loaded.generation, loaded.hash, body[..loaded.body_len].to_vec()));
    assert_eq!(window.chip.counts(), before, "a load wrote");
    loaded
}

/// Checks the chip behind a cut in `script`, which began with the new image running or not.
pub(crate) fn judge(
    images: &Images,
    ran_new: bool,
    script: Script,
    window: &Window,
    replay: &dyn Fn() -> String,
) {
    let mut store = Store::new(window.clone());
    let mut body = [0; 4096];
    let counts = window.chip.counts();
    let Some(loaded) = store.load(&mut body) else { unreachable!("{}: nothing can be run", replay()) };
    let expected: &[u8] = if loaded.hash == images.new_hash() {
        &images.new
    } else if loaded.hash == images.old_hash() {
        &images.old
    } else {
        unreachable!("{}: neither the old nor the new configuration", replay())
    };
    assert_eq!(body[..loaded.body_len], expected[64..], "{}: mixed", replay());
    // Whatever is done to one image, the confirmed one stays.
    if loaded.hash == images.old_hash() {
        assert!(loaded.confirmed, "{}: the confirmation is lost", replay());
    }
    if ran_new && !matches!(script, Script::Update | Script::RollBack) {
        assert_eq!(
            loaded.hash,
            images.new_hash(),
            "{}: a store that was acknowledged has vanished",
            replay()
        );
    }
    if script == Script::RollBack && loaded.hash == images.old_hash() {
        let reason = store.given_up().and_then(|(_, reason)| reason);
        assert_eq!(reason, Some(Reason::Requested), "{}: given up, and nobody knows why", replay());
    }
    match store.secret("mqtt.password") {
        Some(secret) => {
            let known = [&b"a secret"[..], b"another secret"].contains(&secret.expose());
            assert!(known, "{}: another secret", replay());
        }
        None => unreachable!("{}: the secret is lost", replay()),
    }
    assert_eq!(window.chip.counts(), counts, "{}: a load wrote", replay());
}

/// Returns whether the new image runs.
pub(crate) fn runs_new(images: &Images, state: &State) -> bool {
    load(&chip_of(&state.contents)).is_some_and(|(_, hash)| hash == images.new_hash())
}

/// Stores the new image while the running trial does `script` in the middle of it.
pub(crate) fn update_with(window: &Window, images: &Images, script: Script) {
    let mut store = Store::new(window.clone());
    let mut body = [0; 4096];
    store.load(&mut body);
    store.begin(images.new.len() as u32, &images.new_hash(), true).unwrap();
    match script {
        Script::Confirm => assert_eq!(store.confirm(), Ok(false)),
        Script::Attempt => assert_eq!(store.record_attempt(Reason::BrokerUnreachable), Ok(false)),
        _ => assert_eq!(store.roll_back(Reason::Requested), Ok(false)),
    }
    for (index, page) in images.new.chunks(256).enumerate() {
        store.write_page(index as u32 * 256, page).unwrap();
    }
    store.finish(&images.new_hash()).unwrap();
}

/// Checks that the new image runs, on a trial that has just begun.
pub(crate) fn complete_state(images: &Images, window: &Window, what: &str) {
    let mut store = Store::new(window.clone());
    let mut body = [0; 4096];
    let loaded = store.load(&mut body).unwrap();
    assert_eq!(loaded.hash, images.new_hash(), "{what}");
    assert!(!loaded.confirmed && loaded.attempts == 0, "{what}");
}

/// Makes an update to its end: that is always possible.
pub(crate) fn complete(images: &Images, window: &Window, replay: &str) {
    let mut store = Store::new(window.clone());
    let mut body = [0; 4096];
    store.load(&mut body);
    assert!(update(&mut store, &images.new), "{replay}: no update is possible any more");
    let Some(loaded) = store.load(&mut body) else { unreachable!("{replay}: nothing can be run") };
    assert_eq!(loaded.hash, images.new_hash(), "{replay}: the update vanished");
    assert!(!loaded.confirmed && loaded.attempts == 0, "{replay}: a new configuration with an old state");
}
