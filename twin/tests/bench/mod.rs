//! A board for tests: wires, a clock that only blocking calls and the test itself advance, and one TSL2591.

use dunlin_agent::platform::{I2cMaster, I2cPins};
use dunlin_twin::devices::i2c::{Wiring, WiringBus, WiringMaster};
use dunlin_twin::devices::tsl2591::Tsl2591;
use dunlin_twin::world::clock::Clock;
use embassy_time::{Duration, Instant};

pub(crate) const PINS: I2cPins = I2cPins { sda: 4, scl: 5, frequency_hz: 400_000 };

pub(crate) struct Bench {
    pub(crate) wiring: Wiring,
    pub(crate) clock: Clock,
    master: WiringMaster,
}

impl Bench {
    pub(crate) fn empty() -> Self {
        let clock = Clock::virtual_time();
        let wiring = Wiring::new();
        Self { master: wiring.master(clock.clone()), wiring, clock }
    }

    pub(crate) fn with_chip(chip: Tsl2591) -> Self {
        let bench = Self::empty();
        bench.wiring.with_bus(PINS.sda, PINS.scl, |bus| bus.attach(Box::new(chip), Instant::from_ticks(0)));
        bench
    }

    pub(crate) fn bus(&mut self) -> WiringBus<'_> {
        self.master.bus(PINS)
    }

    pub(crate) fn wait_ms(&self, duration_ms: u64) {
        self.clock.block_for(Duration::from_millis(duration_ms));
    }
}
