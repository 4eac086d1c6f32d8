//! What a person wires who deploys a configuration: each of its sensors, on the pins of its bus, at its address.

use dunlin_config_format::config::Config;
use dunlin_config_format::driver::Driver;
use dunlin_config_format::flash_map::{Region, SLOTS};
use dunlin_config_format::image::HEADER_SIZE;
use embassy_time::Instant;
use embedded_storage::nor_flash::ReadNorFlash as _;

use crate::devices::i2c::{I2cDevice, Wiring};
use crate::devices::nor_flash::NorFlash;
use crate::devices::tsl2591::{self, Part, Tsl2591};
use crate::native::stored::header;
use crate::world::environment::Irradiance;

/// Pins that have a bus with a sensor on a board that came without a configuration.
pub(super) const USUAL_PINS: (u8, u8) = (4, 5);

/// The sensors of a board.
pub(super) struct Deployed {
    light: Box<dyn Fn() -> Light>,
    /// Changes of the flash chip when its images were looked at last.
    seen: Option<u64>,
}

/// What falls on a sensor.
pub(super) type Light = Box<dyn FnMut(Instant) -> Irradiance>;

impl Deployed {
    /// Returns a board without sensors; `light` is what falls on each.
    pub(super) fn new(light: impl Fn() -> Light + 'static) -> Self {
        Deployed { light: Box::new(light), seen: None }
    }

    /// Wires the sensors that the images in flash name, where they have changed. Those of earlier images stay.
    pub(super) fn follow(&mut self, flash: &NorFlash, wiring: &Wiring, now: Instant) {
        let changes = changes(flash);
        if self.seen == Some(changes) {
            return;
        }
        let is_first = self.seen.replace(changes).is_none();
        let has_any = each_configuration(flash, |config| {
            for sensor in config.sensors.iter() {
                let (Some(bus), Some(address)) = (config.bus_of(&sensor), sensor.address()) else { continue };
                wiring.attach((bus.sda, bus.scl), address, now, || self.device(sensor.driver));
            }
        });
        if is_first && !has_any {
            wiring.attach(USUAL_PINS, tsl2591::ADDRESS, now, || self.device(Driver::Tsl2591));
        }
    }

    /// Returns the chip that a driver talks to; none where it talks to none.
    fn device(&self, driver: Driver) -> Option<Box<dyn I2cDevice>> {
        match driver {
            Driver::Internal => None,
            Driver::Tsl2591 => Some(Box::new(Tsl2591::new(Part::default(), (self.light)()))),
        }
    }
}

/// Returns how often a flash chip has changed.
pub(super) fn changes(flash: &NorFlash) -> u64 {
    let counts = flash.counts();
    counts.programs + counts.erases
}

/// Hands on the configuration of each image in flash that can be read; returns whether there was any.
pub(super) fn each_configuration(flash: &NorFlash, mut with: impl FnMut(&Config<'_>)) -> bool {
    let body = |slot: &Region| {
        let mut body = vec![0; header(flash, slot)?.body_len as usize];
        flash.clone().read(slot.address + HEADER_SIZE as u32, &mut body).ok()?;
        Some(body)
    };
    let mut has_any = false;
    for body in SLOTS.iter().filter_map(body) {
        if let Ok(config) = Config::decode(&body) {
            with(&config);
            has_any = true;
        }
    }
    has_any
}
