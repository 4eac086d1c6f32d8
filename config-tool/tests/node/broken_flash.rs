//! A board whose flash holds no configuration that can be run says so and waits for one.

use dunlin::device::{HelloTask, Pushed};
use dunlin_config_format::flash_map::{IDENTITIES, SLOTS};
use dunlin_config_format::image::HEADER_SIZE;
use dunlin_config_format::message::state;

use crate::world::{Wish, World, package};

/// A board in safe mode tells it on its console, takes a push, and runs it.
fn is_in_safe_mode_and_takes_a_push(contents: Vec<u8>, what: &str) {
    let mut world = World::with_flash(contents);
    world.run_s(1);
    let hello = world.run(&mut HelloTask::new().unwrap()).unwrap();
    assert_eq!((hello.state, hello.generation), (state::EMPTY, None), "{what}");
    let console = String::from_utf8_lossy(&world.station.take_text()).into_owned();
    assert!(console.contains("safe mode: no configuration can be run"), "{what}: {console}");
    let flash = world.simulation.hardware().flash.clone();
    assert_eq!(flash.counts().words, 0, "{what}: a load that failed has written");
    assert_eq!(world.push(package(Wish::default())), Ok(Pushed::Confirmed), "{what}");
    world.run_s(3);
    assert_eq!(flash.counts().misuses, 0, "{what}");
}

/// Returns the flash of a board on which both slots hold a confirmed configuration.
fn two_configurations() -> Vec<u8> {
    let mut world = World::new();
    for period_ms in [2000, 3000] {
        assert_eq!(world.push(package(Wish { period_ms, ..Wish::default() })), Ok(Pushed::Confirmed));
    }
    world.simulation.hardware().flash.contents()
}

#[test]
fn two_slots_with_damaged_bodies_are_as_good_as_empty() {
    let mut contents = two_configurations();
    for slot in SLOTS {
        contents[slot.address as usize + HEADER_SIZE + 20] ^= 0x10;
    }
    is_in_safe_mode_and_takes_a_push(contents, "damaged bodies");
}

#[test]
fn two_slots_with_damaged_headers_are_as_good_as_empty() {
    let mut contents = two_configurations();
    for slot in SLOTS {
        contents[slot.address as usize + 9] ^= 0x01;
    }
    is_in_safe_mode_and_takes_a_push(contents, "damaged headers");
}

#[test]
fn what_other_firmware_has_left_is_no_configuration() {
    let mut contents = two_configurations();
    let mut byte = 1_u32;
    for region in SLOTS.into_iter().chain(IDENTITIES) {
        let start = region.address as usize;
        for place in &mut contents[start..start + region.size as usize] {
            byte = byte.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *place = (byte >> 24) as u8;
        }
    }
    is_in_safe_mode_and_takes_a_push(contents, "another firmware's data");
}
