//! `flash-layout.md` against the slot store: the order of its writes, and what a power cut in each of them leaves.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use dunlin_agent::store::{Begin, Store};
use dunlin_config_format::Reason;
use dunlin_config_format::config::{Config, Device, Link, List, Mqtt};
use dunlin_config_format::flash_map::{IDENTITIES, IMAGE_SIZE, PAGE_SIZE, SECTOR_SIZE, SLOTS};
use dunlin_config_format::identity::{self, ENTRY_HEAD_SIZE, EntryHead, HEADER_SIZE as IDENTITY_HEADER_SIZE};
use dunlin_config_format::image::{HASH_SIZE, HEADER_SIZE, Header, checksum};
use dunlin_config_format::limits::BODY_SIZE;
use dunlin_config_format::slot;
use dunlin_twin::devices::nor_flash::{Change, NorFlash, Tear};

/// A change of the flash: where, and how many bytes were programmed; none for a sector that was erased.
type Operation = (u32, Option<u32>);

/// Returns the rows of the first table behind a heading whose first row of cells begins with `first`.
fn table(heading: &str, first: &str) -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../flash-layout.md");
    let text = fs::read_to_string(path).unwrap();
    let section = text.split(&format!("\n## {heading}\n")).nth(1).unwrap().split("\n## ").next().unwrap();
    let table = section.split("\n\n").find(|part| part.starts_with(&format!("| {first} |"))).unwrap();
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    table.lines().skip(2).map(cells).collect()
}

/// An image file for the device `name`, with assets that reach into the second sector, and its hash.
fn image(name: &str) -> (Vec<u8>, [u8; HASH_SIZE]) {
    let mqtt = Mqtt { has_password: true, ..Mqtt::at("b") };
    let device = Device { name, label: None };
    let lists = (List::default(), List::default(), List::default());
    let config =
        Config { device, mqtt, link: Link::default(), i2c: lists.0, sensors: lists.1, reports: lists.2 };
    let mut body = [0; 256];
    let len = config.encode(&mut body).unwrap();
    let assets = [0x5a; 4200];
    let header = Header::new(&body[..len], &assets);
    ([&header.encode()[..], &body[..len], &assets].concat(), header.hash)
}

/// Stores an image; none where the power goes on the way.
fn update(store: &mut Store<NorFlash>, (file, hash): &(Vec<u8>, [u8; HASH_SIZE])) -> Option<u32> {
    assert_eq!(store.begin(file.len() as u32, hash, false).ok()?, Begin::Ready);
    for (index, page) in file.chunks(PAGE_SIZE as usize).enumerate() {
        store.write_page(index as u32 * PAGE_SIZE, page).ok()?;
    }
    store.finish(hash).ok()
}

fn load(store: &mut Store<NorFlash>) -> Option<[u8; HASH_SIZE]> {
    let mut body = [0xa5; BODY_SIZE];
    store.load(&mut body).map(|loaded| loaded.hash)
}

/// A chip with a confirmed configuration in slot A and secrets in both copies, started.
fn started() -> (NorFlash, Store<NorFlash>) {
    let chip = NorFlash::new(IDENTITIES[1].end() as usize);
    let mut store = Store::new(chip.clone());
    store.put_secret("other", b"1").unwrap();
    store.put_secret("mqtt.password", b"old").unwrap();
    update(&mut store, &image("old")).unwrap();
    load(&mut store).unwrap();
    assert!(store.confirm().unwrap());
    (chip, store)
}

/// Watches the operations of a chip.
fn watch(chip: &NorFlash) -> Rc<RefCell<Vec<Operation>>> {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let list = Rc::clone(&seen);
    chip.watch(move |_, change| {
        list.borrow_mut().push(match change {
            Change::Erased { address } => (address, None),
            Change::Programmed { address, bytes } => (address, Some(bytes.len() as u32)),
        });
        true
    });
    seen
}

/// The pages that hold the bytes from `start` to `end`, without what is outside of these.
fn pages(start: u32, end: u32) -> Vec<Operation> {
    let starts = (start / PAGE_SIZE..end.div_ceil(PAGE_SIZE)).map(|page| (page * PAGE_SIZE).max(start));
    // The last word is filled up.
    let size = |at: u32| (at / PAGE_SIZE * PAGE_SIZE + PAGE_SIZE).min(end.next_multiple_of(4)) - at;
    starts.map(|at| (at, Some(size(at)))).collect()
}

/// Does `act` on chips that lose power in each operation; `left` tells what is found then, and `expected` what a step leaves.
fn cut_everywhere(
    steps: &[(u32, String)],
    act: impl Fn(&mut Store<NorFlash>) -> bool,
    left: impl Fn(&mut Store<NorFlash>) -> String,
) {
    // A cut behind the last bit of a header leaves the new one; none of these is there.
    assert!(steps.iter().all(|(_, leaves)| matches!(
        leaves.split_once(", or "),
        None | Some((_, "the new image whole" | "the new one whole"))
    )));
    for (operation, leaves) in steps {
        for (seed, tear) in Tear::ALL.into_iter().cycle().take(32).enumerate() {
            let (chip, mut store) = started();
            chip.plan_cut_within(*operation, tear, seed as u64);
            assert!(!act(&mut store), "no cut in operation {operation}");
            chip.set_power(true);
            let mut store = Store::new(chip.clone());
            load(&mut store).unwrap();
            let found = left(&mut store);
            let (usual, also) = leaves.split_once(", or ").unwrap_or((leaves, ""));
            let is_told = found == usual || also == format!("{found} whole");
            assert!(is_told, "operation {operation}, {tear:?}, seed {seed}: `{found}` is not `{leaves}`");
        }
    }
}

#[test]
fn an_update_writes_in_the_order_of_its_table() {
    let new = image("new");
    let (chip, mut store) = started();
    let seen = watch(&chip);
    assert!(update(&mut store, &new).is_some());
    let at = SLOTS[1].address;
    let end = at + new.0.len() as u32;
    let (mut expected, mut steps) = (Vec::new(), Vec::new());
    for (number, row) in (1..).zip(table("Update", "step")) {
        assert_eq!(row[0], i32::to_string(&number));
        let operations = match (row[1].as_str(), row[2].as_str()) {
            ("erase", "first sector") => vec![(at, None)],
            ("erase", "further sectors of the image, ascending") => {
                (at + SECTOR_SIZE..end).step_by(SECTOR_SIZE as usize).map(|sector| (sector, None)).collect()
            }
            ("erase", "state") => vec![(at + IMAGE_SIZE, None)],
            ("program", "image behind its header, page by page, ascending") => {
                pages(at + HEADER_SIZE as u32, end)
            }
            ("program", "header") => vec![(at, Some(HEADER_SIZE as u32))],
            other => panic!("a step {other:?}"),
        };
        for operation in operations {
            expected.push(operation);
            steps.push((expected.len() as u32, row[3].clone()));
        }
    }
    assert_eq!(*seen.borrow(), expected);
    assert!(expected.len() > 20);
    let old = image("old").1;
    cut_everywhere(
        &steps,
        |store| update(store, &new).is_some(),
        |store| match load(store) {
            Some(hash) if hash == old => "the other slot".to_owned(),
            Some(hash) if hash == new.1 => "the new image".to_owned(),
            other => format!("{other:?}"),
        },
    );
}

/// What the store does for an event of the table "Trial", and the reason that it notes.
type Act = fn(&mut Store<NorFlash>) -> bool;

#[test]
fn a_trial_programs_the_words_of_its_table() {
    let events: [(&str, Act, Reason); 4] = [
        (
            "an attempt has failed",
            |store| store.record_attempt(Reason::BrokerSilent).is_ok(),
            Reason::BrokerSilent,
        ),
        ("confirmed by the broker", |store| store.confirm().is_ok(), Reason::Vouched),
        ("confirmed by a person", |store| store.vouch().is_ok(), Reason::Vouched),
        (
            "given up by a person",
            |store| store.roll_back(Reason::Requested).is_ok_and(|to| to.is_some()),
            Reason::Requested,
        ),
    ];
    let rows = table("Trial", "event");
    assert_eq!(rows.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(), events.map(|event| event.0));
    for (row, (_, act, reason)) in rows.iter().zip(events) {
        let (chip, mut store) = started();
        update(&mut store, &image("new")).unwrap();
        load(&mut store).unwrap();
        let seen = watch(&chip);
        assert!(act(&mut store));
        let state = SLOTS[1].address + IMAGE_SIZE;
        let words: Vec<_> = row[1].split("; ").map(|word| word.split_once(": ").unwrap()).collect();
        let array = |name: &str| match name {
            "attempts" => slot::ATTEMPTS_OFFSET,
            "reasons" => slot::REASONS_OFFSET,
            "rejected" => slot::REJECTED_OFFSET,
            "confirmed" => slot::CONFIRMED_OFFSET,
            other => panic!("no array `{other}`"),
        };
        let places: Vec<_> = words.iter().map(|(name, _)| (state + array(name), Some(4))).collect();
        assert_eq!(*seen.borrow(), places, "{row:?}");
        for (name, value) in words {
            let at = (state + array(name)) as usize;
            let word = u32::from_le_bytes(chip.contents()[at..at + 4].try_into().unwrap());
            match value {
                "0" => assert_eq!(word, 0),
                "why" => assert_eq!(word, slot::reason_word(reason)),
                code => {
                    assert_eq!((word, code), (slot::reason_word(reason), reason.code().to_string().as_str()))
                }
            }
        }
        // The first word alone leaves what the table says: a reason, and the configuration as it was.
        let left = match row[0].as_str() {
            "an attempt has failed" => "a reason; the attempt does not count",
            "confirmed by a person" => "a reason; still on trial",
            "given up by a person" => "a reason; not given up",
            _ => "",
        };
        assert_eq!(row[2], left);
        if left.is_empty() {
            assert_eq!(places.len(), 1);
            continue;
        }
        let (chip, mut store) = started();
        update(&mut store, &image("new")).unwrap();
        let before = load(&mut store);
        chip.plan_cut_within(2, Tear::Clean, 0);
        assert!(!act(&mut store));
        chip.set_power(true);
        let mut store = Store::new(chip.clone());
        assert_eq!(load(&mut store), before);
        let (_, after) = store.newest().unwrap();
        assert_eq!((after.attempts, after.confirmed, after.rejected), (0, false, false));
        assert_eq!(after.reason, Some(reason.code()));
    }
}

#[test]
fn the_identity_is_written_in_the_order_of_its_table() {
    let (chip, mut store) = started();
    let seen = watch(&chip);
    assert!(!store.put_secret("mqtt.password", b"new").unwrap());
    // The newest copy is the second; the first is rewritten. The old password is in use, the other secret too.
    let at = IDENTITIES[0].address;
    let entry = |name: &str, value: &str| (ENTRY_HEAD_SIZE + name.len() + value.len()) as u32;
    let entries = 2 * entry("mqtt.password", "new") + entry("other", "1");
    let start = at + IDENTITY_HEADER_SIZE as u32;
    let (mut expected, mut steps) = (Vec::new(), Vec::new());
    for (number, row) in (1..).zip(table("Identity", "step")) {
        assert_eq!(row[0], i32::to_string(&number));
        let operations = match (row[1].as_str(), row[2].as_str()) {
            ("erase", "sector") => vec![(at, None)],
            ("program", "entries, page by page, ascending") => pages(start, start + entries),
            ("program", "header") => vec![(at, Some(IDENTITY_HEADER_SIZE as u32))],
            other => panic!("a step {other:?}"),
        };
        for operation in operations {
            expected.push(operation);
            steps.push((expected.len() as u32, row[3].clone()));
        }
    }
    assert_eq!(*seen.borrow(), expected);
    // The new entry comes first, the others follow.
    let bytes = &chip.contents()[start as usize..];
    assert_eq!(bytes[..6], [13, 3, 2, 0, 0, 0]);
    assert_eq!(bytes[6..22], *b"mqtt.passwordnew");
    assert_eq!(bytes[22..28], [13, 3, 1, 0, 0, 0]);
    let next = image("next");
    cut_everywhere(
        &steps,
        |store| store.put_secret("mqtt.password", b"new").is_ok(),
        |store| {
            assert_eq!(store.secret("mqtt.password").unwrap().expose(), b"old");
            assert_eq!(store.secret("other").unwrap().expose(), b"1");
            update(store, &next).unwrap();
            load(store).unwrap();
            match store.secret("mqtt.password").unwrap().expose() {
                b"old" => "the newest copy".to_owned(),
                b"new" => "the new one".to_owned(),
                other => format!("{other:?}"),
            }
        },
    );
}

#[test]
fn erasing_goes_in_the_order_that_the_document_tells() {
    let (chip, mut store) = started();
    let seen = watch(&chip);
    store.erase_secrets().unwrap();
    assert_eq!(seen.take(), [(IDENTITIES[0].address, None), (IDENTITIES[1].address, None)]);
    store.erase_slots().unwrap();
    let sectors = |slot: usize| (0..4).map(move |sector| (SLOTS[slot].address + sector * SECTOR_SIZE, None));
    assert_eq!(seen.take(), sectors(1).chain(sectors(0)).collect::<Vec<_>>());
}

#[test]
fn an_entry_that_reaches_behind_the_entries_ends_the_list() {
    let (chip, _) = started();
    let entry = |name_len: u8, value_len: u8, value: &[u8]| {
        let head = EntryHead { name_len, value_len, generation: 1 };
        [&head.encode()[..], b"mqtt.password", value].concat()
    };
    let secret_of = |entries: &[u8]| {
        let header = identity::Header {
            sequence: 9,
            entries_len: entries.len() as u32,
            entries_crc: checksum(entries),
            highest_revision: 0,
        };
        chip.poke(IDENTITIES[0].address, &[&header.encode()[..], entries].concat());
        let mut store = Store::new(chip.clone());
        load(&mut store).unwrap();
        store.secret("mqtt.password").map(|secret| secret.expose().to_vec())
    };
    assert_eq!(secret_of(&entry(13, 3, b"abc")), Some(b"abc".to_vec()));
    assert_eq!(secret_of(&entry(13, 4, b"abc")), None);
    assert_eq!(secret_of(&entry(13, 65, b"abc")), None);
    assert_eq!(secret_of(&[&entry(33, 3, b"abc")[..], &entry(13, 3, b"abc")].concat()), None);
}
