//! Bits that change by themselves, in everything that the store owns.

use std::rc::Rc;

use dunlin_agent::store::Store;
use dunlin_config_format::flash_map::{IDENTITIES, IMAGE_SIZE, SLOTS};
use dunlin_config_format::limits::BODY_SIZE;
use dunlin_config_format::{Reason, image};
use dunlin_twin::devices::nor_flash::NorFlash;
use rand_core::SeedableRng;
use rand_pcg::Pcg32;

use crate::model::{SECRETS, Step};
use crate::payload::{Payload, below};
use crate::session::{END, START, Session, push};

const PASSWORDS: [&[u8]; 2] = [b"the first password", b"the second password"];

/// A chip with a confirmed configuration in slot A, one on trial in slot B, and a secret of each.
struct Flipped {
    chip: NorFlash,
    images: [Rc<Payload>; 2],
    body: Box<[u8; BODY_SIZE]>,
}

/// What a start found: the slot, whether it is confirmed, its attempts, and which password it uses.
type Found = Option<(usize, bool, u8, Option<usize>)>;

impl Flipped {
    fn new() -> Self {
        let mut random = Pcg32::seed_from_u64(7);
        let images = [0, 1].map(|_| {
            let padding = crate::payload::bytes(&mut random, 150);
            Payload::new(&crate::payload::body(&padding), &crate::payload::bytes(&mut random, 60))
        });
        let [first, second] = &images;
        let mut session = Session::new();
        let [old, new] = PASSWORDS.map(|password| Step::Secret(0, password.to_vec()));
        session.all(&[old]).unwrap();
        session.all(&push(first)).unwrap();
        session.all(&[Step::Reload, Step::Confirm, new]).unwrap();
        session.all(&push(second)).unwrap();
        session.all(&[Step::Reload, Step::Attempt(Reason::BrokerSilent), Step::Reload]).unwrap();
        Flipped { chip: session.chip, images, body: Box::new([0xa5; BODY_SIZE]) }
    }

    /// Starts; a wrong configuration, a wrong password or a write ends the test.
    fn find(&mut self) -> Found {
        let before = self.chip.counts();
        let mut store = Store::new(self.chip.clone());
        let loaded = store.load(&mut self.body);
        let found = loaded.map(|loaded| {
            let slot = self.images.iter().position(|image| image.hash == loaded.hash).unwrap();
            let file = &self.images[slot].file;
            assert_eq!(self.body[..loaded.body_len], file[image::HEADER_SIZE..][..loaded.body_len]);
            let mut read = [0xa5; 1024];
            assert!(matches!(store.read_image(0, &mut read), Ok(Some((len, _))) if read[..len] == *file));
            assert_eq!(loaded.generation as usize, slot + 1);
            let password = store
                .secret(SECRETS[0])
                .map(|secret| PASSWORDS.iter().position(|known| *known == secret.expose()).unwrap());
            (slot, loaded.confirmed, loaded.attempts, password)
        });
        assert_eq!(self.chip.counts(), before, "a start has written");
        found
    }

    fn with_flips(&mut self, bits: &[usize]) -> Found {
        bits.iter().for_each(|&bit| self.chip.flip(bit));
        let found = self.find();
        bits.iter().for_each(|&bit| self.chip.flip(bit));
        found
    }
}

const TRIAL: Found = Some((1, false, 1, Some(1)));
const CONFIRMED: Found = Some((0, true, 0, Some(0)));

#[test]
fn every_single_flip_leaves_a_right_configuration_and_writes_nothing() {
    let mut chip = Flipped::new();
    assert_eq!(chip.find(), TRIAL);
    let [a, b] = SLOTS;
    for bit in START as usize * 8..END as usize * 8 {
        let found = chip.with_flips(&[bit]);
        let address = (bit / 8) as u32;
        if (b.address..b.address + IMAGE_SIZE).contains(&address) {
            // Either the flip does not matter, or the one before runs.
            assert!([TRIAL, CONFIRMED].contains(&found), "bit {bit}: {found:?}");
        } else if address >= IDENTITIES[0].address {
            // The older copy is used, where it is whole; it has an older password.
            assert!(matches!(found, Some((1, false, 1, Some(_)))), "bit {bit}: {found:?}");
        } else {
            // No flip in the other slot matters, nor one in a flag.
            assert_eq!(found, TRIAL, "bit {bit}");
        }
    }
    // Without the newer image, no flip in its slot matters to the older one.
    chip.chip.poke(b.address, &[0; 4]);
    for bit in b.address as usize * 8 + 32..b.end() as usize * 8 {
        assert_eq!(chip.with_flips(&[bit]), CONFIRMED, "bit {bit}");
    }
    // Alone, a damaged image is no image.
    for bit in a.address as usize * 8..(a.address + IMAGE_SIZE) as usize * 8 {
        let found = chip.with_flips(&[bit]);
        assert!([CONFIRMED, None].contains(&found), "bit {bit}: {found:?}");
    }
}

#[test]
fn every_double_flip_in_a_header_leaves_a_right_configuration_and_writes_nothing() {
    let mut chip = Flipped::new();
    let pairs = |address: u32| {
        let bits = address as usize * 8..(address as usize + image::HEADER_SIZE) * 8;
        bits.clone().flat_map(move |first| (first + 1..bits.end).map(move |second| [first, second]))
    };
    for (slot, expected) in SLOTS.into_iter().zip([TRIAL, CONFIRMED]) {
        for bits in pairs(slot.address) {
            assert_eq!(chip.with_flips(&bits), expected, "bits {bits:?}");
        }
    }
    for copy in IDENTITIES {
        for bits in pairs(copy.address) {
            let found = chip.with_flips(&bits);
            assert!(matches!(found, Some((1, false, 1, Some(_)))), "bits {bits:?}: {found:?}");
        }
    }
}

#[test]
fn many_flips_leave_a_right_configuration_or_none_and_write_nothing() {
    let mut chip = Flipped::new();
    let mut random = Pcg32::seed_from_u64(11);
    // Where something is written: headers, bodies and assets, flags, secrets.
    let starts = SLOTS.into_iter().flat_map(|slot| [slot.address, slot.address + IMAGE_SIZE]);
    let starts = starts.chain(IDENTITIES.map(|copy| copy.address));
    let places: Vec<usize> =
        starts.flat_map(|start| start as usize * 8..(start as usize + 340) * 8).collect();
    for _ in 0..100_000 {
        let count = 3 + below(&mut random, 6);
        let mut bits: Vec<usize> = (0..count).map(|_| places[below(&mut random, places.len())]).collect();
        bits.sort_unstable();
        bits.dedup();
        chip.with_flips(&bits);
    }
}
