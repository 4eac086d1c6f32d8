//! Corners that no random history reaches.

use dunlin_agent::store::{Begin, Store};
use dunlin_config_format::flash_map::{IMAGE_SIZE, SLOTS};
use dunlin_config_format::limits::BODY_SIZE;
use dunlin_config_format::{Reason, slot};
use dunlin_twin::devices::nor_flash::NorFlash;

use crate::payload::{Payload, body};
use crate::session::{END, Session, push};

fn stored(store: &mut Store<NorFlash>, image: &Payload) -> u32 {
    assert_eq!(store.begin(image.file.len() as u32, &image.hash, false), Ok(Begin::Ready));
    for (index, page) in image.file.chunks(256).enumerate() {
        store.write_page(256 * index as u32, page).unwrap();
    }
    store.finish(&image.hash).unwrap()
}

#[test]
fn a_body_that_this_firmware_cannot_read_is_neither_run_nor_protected() {
    let chip = NorFlash::new(END as usize);
    let mut buffer = [0xa5; BODY_SIZE];
    let mut store = Store::new(chip.clone());
    let old = Payload::new(&body(b"old"), b"");
    stored(&mut store, &old);
    assert_eq!(store.load(&mut buffer).map(|loaded| loaded.generation), Some(1));
    store.confirm().unwrap();
    // A later firmware has stored and confirmed what this one cannot read.
    let later = Payload::new(b"\xa1\x00\xf6", b"");
    stored(&mut store, &later);
    chip.poke(SLOTS[1].address + IMAGE_SIZE + slot::CONFIRMED_OFFSET, &[0; 4]);
    let before = chip.counts();
    let mut store = Store::new(chip.clone());
    let loaded = store.load(&mut buffer).unwrap();
    assert_eq!((loaded.generation, loaded.confirmed, loaded.has_fallback), (1, true, false));
    assert_eq!(chip.counts(), before, "a start has written");
    assert_eq!(store.roll_back(Reason::Requested).unwrap(), None, "there is nothing to go back to");
    assert_eq!(store.newest().map(|(header, _)| header.generation), Some(2));
    // An update that is cut short leaves the readable one.
    let new = Payload::new(&body(b"new"), b"");
    assert_eq!(store.begin(new.file.len() as u32, &new.hash, false), Ok(Begin::Ready));
    let mut store = Store::new(chip.clone());
    assert_eq!(store.load(&mut buffer).map(|loaded| loaded.generation), Some(1));
    assert_eq!(stored(&mut store, &new), 2);
    assert_eq!(store.load(&mut buffer).map(|loaded| loaded.hash), Some(new.hash));
}

#[test]
fn a_bad_configuration_is_given_up_though_every_reason_is_torn() {
    let mut session = Session::new();
    session.complete(&Payload::new(&body(b"good"), b"")).unwrap();
    session.all(&push(&Payload::new(&body(b"bad"), b""))).unwrap();
    let state = SLOTS[1].address + IMAGE_SIZE;
    session.chip.poke(state + slot::REASONS_OFFSET, &[0x7f; 32]);
    // Five of the attempts' words are torn and do not count.
    session.chip.poke(state + slot::ATTEMPTS_OFFSET, &[0x7f; 20]);
    let mut buffer = [0xa5; BODY_SIZE];
    let mut store = session.store;
    for attempt in 1..=3 {
        assert_eq!(store.load(&mut buffer).map(|loaded| loaded.generation), Some(2));
        assert_eq!(store.record_attempt(Reason::BrokerSilent), Ok(attempt == 3));
    }
    assert_eq!(store.load(&mut buffer).map(|loaded| loaded.generation), Some(1));
    assert_eq!(store.given_up(), Some((2, None)));
}

#[test]
fn an_image_that_is_not_what_its_header_says_is_not_stored() {
    let mut session = Session::new();
    let good = Payload::new(&body(b"good"), b"assets");
    session.complete(&good).unwrap();
    let mut store = session.store;
    let image = Payload::new(&body(b"another"), b"assets");
    let mut wrong = image.file.clone();
    *wrong.last_mut().unwrap() ^= 1;
    store.begin(wrong.len() as u32, &image.hash, false).unwrap();
    store.write_page(0, &wrong).unwrap();
    assert!(store.finish(&image.hash).is_err());
    assert!(store.finish(&image.hash).is_err(), "no update is under way any more");
    assert!(store.write_page(0, &wrong).is_err());
    let mut buffer = [0xa5; BODY_SIZE];
    assert_eq!(store.load(&mut buffer).map(|loaded| loaded.hash), Some(good.hash));
    // Pages that differ from what is there are refused, and nothing is programmed twice.
    store.begin(image.file.len() as u32, &image.hash, false).unwrap();
    store.write_page(0, &wrong).unwrap();
    assert!(store.write_page(0, &image.file).is_err());
    assert_eq!(session.chip.counts().misuses, 0);
    // What is too long, or nothing, is refused before anything is erased.
    let erased = session.chip.counts().erases;
    assert!(store.begin(12_097, &image.hash, false).is_err());
    assert!(store.begin(64, &image.hash, false).is_err());
    assert_eq!(session.chip.counts().erases, erased);
}
