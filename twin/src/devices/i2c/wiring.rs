//! Buses on pins, and the master through which an agent reaches them.

use super::exchange::Master;
use super::{BusError, I2cBus, I2cDevice};
use crate::world::clock::Clock;
use dunlin_agent::platform::{CLOCK_STRETCH_LIMIT, ClearBus, I2cMaster, I2cPins};
use embassy_time::{Duration, Instant};
use embedded_hal::i2c::{ErrorType, I2c, Operation};
use std::cell::RefCell;
use std::rc::Rc;

/// The I2C buses of a board, by pins. Cloning gives another handle to the same wires, for example for faults.
#[derive(Clone, Default)]
pub struct Wiring {
    buses: Rc<RefCell<Vec<Line>>>,
    /// What has befallen the wires, in order.
    faults: Rc<RefCell<Vec<Befall>>>,
}

/// What a fault does to the bus whose data line has this GPIO number.
type Befall = Box<dyn Fn(u8, &mut I2cBus)>;

struct Line {
    sda: u8,
    scl: u8,
    bus: I2cBus,
}

impl Wiring {
    /// Returns a board with nothing on its pins.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts the device that `make` returns on the bus with these GPIO numbers, data line first, unless one with this address is
    /// there. What has befallen the wires befalls it on a bus that is new.
    pub fn attach(
        &self,
        (sda, scl): (u8, u8),
        address: u8,
        now: Instant,
        make: impl FnOnce() -> Option<Box<dyn I2cDevice>>,
    ) {
        let is_new = !self.buses.borrow().iter().any(|line| (line.sda, line.scl) == (sda, scl));
        self.with_bus(sda, scl, |bus| {
            if bus.has(address) {
                return;
            }
            if let Some(device) = make() {
                bus.attach(device, now);
            }
            if is_new {
                self.faults.borrow().iter().for_each(|fault| fault(sda, bus));
            }
        });
    }

    /// Calls `f` with the bus on these GPIO numbers, which is made if there is none yet.
    pub fn with_bus<R>(&self, sda: u8, scl: u8, f: impl FnOnce(&mut I2cBus) -> R) -> R {
        let mut buses = self.buses.borrow_mut();
        let index = buses.iter().position(|line| line.sda == sda && line.scl == scl).unwrap_or_else(|| {
            let mut bus = I2cBus::new();
            for fault in self.faults.borrow().iter() {
                fault(sda, &mut bus);
            }
            buses.push(Line { sda, scl, bus });
            buses.len() - 1
        });
        f(&mut buses[index].bus)
    }

    /// Calls `f` with the data line's GPIO number and the bus, for each bus.
    pub fn for_each_bus(&self, mut f: impl FnMut(u8, &mut I2cBus)) {
        for line in self.buses.borrow_mut().iter_mut() {
            f(line.sda, &mut line.bus);
        }
    }

    /// Lets a fault befall every bus, those as well that are used for the first time later on.
    pub fn befall(&self, fault: impl Fn(u8, &mut I2cBus) + 'static) {
        self.for_each_bus(&fault);
        self.faults.borrow_mut().push(Box::new(fault));
    }

    /// Returns a master on these wires; a transaction takes its real duration of `clock`.
    pub fn master(&self, clock: Clock) -> WiringMaster {
        WiringMaster { wiring: self.clone(), clock }
    }
}

/// The I2C masters of a board.
pub struct WiringMaster {
    wiring: Wiring,
    clock: Clock,
}

impl I2cMaster for WiringMaster {
    type Bus<'a>
        = WiringBus<'a>
    where
        Self: 'a;

    fn bus(&mut self, pins: I2cPins) -> WiringBus<'_> {
        WiringBus { wiring: &self.wiring, clock: &self.clock, pins }
    }
}

/// A bus on two pins. Where nothing is wired to them, no address is acknowledged.
pub struct WiringBus<'a> {
    wiring: &'a Wiring,
    clock: &'a Clock,
    pins: I2cPins,
}

impl WiringBus<'_> {
    fn with<R>(&mut self, f: impl FnOnce(&mut I2cBus, Instant, Master) -> (R, Duration)) -> R {
        let master = Master { frequency_hz: self.pins.frequency_hz, stretch_limit: CLOCK_STRETCH_LIMIT };
        let now = self.clock.now();
        let (result, duration) =
            self.wiring.with_bus(self.pins.sda, self.pins.scl, |bus| f(bus, now, master));
        self.clock.block_for(duration);
        result
    }
}

impl ErrorType for WiringBus<'_> {
    type Error = BusError;
}

impl I2c for WiringBus<'_> {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), BusError> {
        self.with(|bus, now, master| bus.transact(address, operations, now, master))
    }
}

impl ClearBus for WiringBus<'_> {
    fn clear_bus(&mut self) -> bool {
        self.with(|bus, now, master| bus.clear(now, master))
    }
}
