//! The chip's registers for a driver: each access takes its time.

use std::cell::{RefCell, RefMut};
use std::rc::Rc;

use dunlin_firmware::mmio::{Access, Register};
use dunlin_twin::chip::peripherals::Peripherals;
use dunlin_twin::chip::peripherals::rtc::Cause;
use dunlin_twin::chip::time::{PER_MICROSECOND, Time};
use dunlin_twin::devices::i2c::Wiring;
use dunlin_twin::devices::nor_flash::{NorFlash, Timing};
use embassy_time::Instant;

use crate::device::Device;

/// Time of an access with the instructions around it: a quarter of a microsecond.
const ACCESS: Time = Time(PER_MICROSECOND / 4);

struct State {
    chip: Peripherals,
    now: Time,
    /// Bits that a register keeps, whatever happens.
    stuck: Option<(u32, u32)>,
    /// A pin that may not be driven to this level.
    forbidden: Option<(u8, bool)>,
    /// A device on a 1-Wire line at this pin.
    one_wire: Option<(u8, Device)>,
}

/// A chip. Clones are the same.
#[derive(Clone)]
pub(crate) struct Bench(Rc<RefCell<State>>);

impl std::fmt::Debug for Bench {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bench")
    }
}

impl Bench {
    /// A chip as the start-up code leaves it: PLL and clock run.
    pub(crate) fn new() -> Self {
        let flash = NorFlash::with_contents(vec![0xff; 1 << 20]);
        let start = Instant::from_ticks(0);
        let mut chip = Peripherals::new(flash, Timing::default(), Wiring::new(), 0x12_3456, 1, start);
        chip.reset(Time(0), Cause::PowerOn);
        chip.write_analog(Time(0), 103, 4, 2, 0x91);
        chip.store(0x6000_0628, 1 << 7 | 1 << 2, Time(0)).unwrap();
        let state = State { chip, now: Time(0), stuck: None, forbidden: None, one_wire: None };
        Bench(Rc::new(RefCell::new(state)))
    }

    pub(crate) fn chip(&self) -> RefMut<'_, Peripherals> {
        RefMut::map(self.0.borrow_mut(), |state| &mut state.chip)
    }

    pub(crate) fn micros(&self) -> u64 {
        self.0.borrow().now.micros()
    }

    pub(crate) fn peek(&self, address: u32) -> u32 {
        let state = &mut *self.0.borrow_mut();
        state.chip.load(address, state.now).unwrap()
    }

    pub(crate) fn stick(&self, address: u32, bits: u32) {
        self.0.borrow_mut().stuck = Some((address, bits));
    }

    pub(crate) fn drive_pin(&self, pin: u8, level: Option<bool>) {
        let state = &mut *self.0.borrow_mut();
        let at = state.chip.instant(state.now);
        state.chip.gpio.drive_pin(pin, level, at);
    }

    pub(crate) fn forbid(&self, pin: u8, level: bool) {
        self.0.borrow_mut().forbidden = Some((pin, level));
    }

    pub(crate) fn allow(&self) {
        self.0.borrow_mut().forbidden = None;
    }

    pub(crate) fn attach(&self, pin: u8, device: Device) {
        self.0.borrow_mut().one_wire = Some((pin, device));
    }
}

impl State {
    /// The device sees what the chip does with its pin, and the pin has the level that comes of it.
    fn settle(&mut self) {
        let Some((pin, device)) = &mut self.one_wire else { return };
        let now = self.now.0 * 1000 / PER_MICROSECOND;
        device.drive(now, self.chip.gpio.driven(*pin) == Some(false));
        let level = device.is_high(now);
        let at = self.chip.instant(self.now);
        self.chip.gpio.drive_pin(*pin, Some(level), at);
    }
}

impl Access for Bench {
    fn read(&mut self, register: Register) -> u32 {
        let state = &mut *self.0.borrow_mut();
        state.now = Time(state.now.0 + ACCESS.0);
        state.settle();
        let stuck = state.stuck.filter(|(address, _)| *address == register.address());
        let value = state.chip.load(register.address(), state.now);
        value.unwrap_or_else(|_| panic!("{:#x} can't be read now", register.address()))
            | stuck.map_or(0, |(_, bits)| bits)
    }

    fn write(&mut self, register: Register, value: u32) {
        let state = &mut *self.0.borrow_mut();
        state.now = Time(state.now.0 + ACCESS.0);
        let done = state.chip.store(register.address(), value, state.now);
        assert_eq!(done, Ok(()), "{value:#x} to {:#x}", register.address());
        if let Some((pin, level)) = state.forbidden {
            assert_ne!(state.chip.gpio.driven(pin), Some(level), "GPIO{pin} is driven to the other level");
        }
        state.settle();
    }
}
