//! Time for everything that waits: timer FRC2 as a clock of 1 MHz.
//!
//! FRC2 counts up at 5 MHz (80 MHz by 16) and is never stopped, loaded or reloaded, so that nothing is lost when an alarm is
//! set. Its 32 bits wrap after 859 s; the alarm comes at least every 429 s, and each look at the counter extends it to 64
//! bits. An alarm that is set too late to be noticed by the comparator (it fires on equality alone) is seen by looking at the
//! counter again after setting it.

pub mod arithmetic;

use core::cell::RefCell;

use critical_section::Mutex;

use crate::mmio::{Access, Register};
use arithmetic::{Alarms, Extender, is_reached};

const COUNT: Register = Register::new(0x6000_0624);
const CTRL: Register = Register::new(0x6000_0628);
const INT_CLEAR: Register = Register::new(0x6000_062c);
const ALARM: Register = Register::new(0x6000_0630);
const EDGE_INTERRUPTS: Register = Register::new(0x3ff0_0004);

/// Runs, divided by 16, one interrupt for each time that the counter meets the alarm.
const CTRL_RUN_16: u32 = 1 << 7 | 1 << 2;
/// Lets FRC2's interrupt through to the processor.
const EDGE_FRC2: u32 = 1 << 2;

/// Counts of [`count`] in a microsecond.
pub const COUNTS_PER_US: u32 = arithmetic::COUNTS_PER_TICK;

struct State {
    extender: Extender,
    alarms: Alarms,
}

static STATE: Mutex<RefCell<State>> =
    Mutex::new(RefCell::new(State { extender: Extender::new(0), alarms: Alarms::new() }));

/// Starts the clock at 0. To be called once, before anything asks for the time.
pub fn start() {
    critical_section::with(|token| {
        CTRL.write(CTRL_RUN_16);
        INT_CLEAR.write(0);
        EDGE_INTERRUPTS.set(EDGE_FRC2);
        let mut state = STATE.borrow_ref_mut(token);
        state.extender = Extender::new(COUNT.read());
        set_alarm(&mut state);
    });
}

/// Returns the counter: 5 counts a microsecond, wrapping. For time-outs where interrupts are off; never waits.
#[inline(always)]
pub fn count() -> u32 {
    COUNT.read()
}

/// Waits until `is_done`, at most `limit_us` microseconds; returns whether it was. The clock must have been started.
pub fn wait_for<A: Access>(access: &mut A, limit_us: u32, mut is_done: impl FnMut(&mut A) -> bool) -> bool {
    let from = access.read(COUNT);
    loop {
        // The time before the look: an interrupt in between makes nobody late.
        let is_late = access.read(COUNT).wrapping_sub(from) >= limit_us.saturating_mul(COUNTS_PER_US);
        if is_done(access) {
            return true;
        }
        if is_late {
            return false;
        }
    }
}

/// Returns the counter as [`count`] does, through `access`.
#[inline(always)]
pub fn count_by<A: Access>(access: &mut A) -> u32 {
    access.read(COUNT)
}

/// Serves interrupt 10.
#[inline(never)]
#[cfg_attr(target_arch = "xtensa", unsafe(link_section = ".iram.text.clock_interrupt"))]
pub fn on_interrupt() {
    critical_section::with(|token| {
        INT_CLEAR.write(0);
        // Whoever borrows holds interrupts, so that nobody does now. A panic's way out would lead to flash.
        if let Ok(mut state) = STATE.borrow(token).try_borrow_mut() {
            set_alarm(&mut state);
        }
    });
}

/// Wakes whoever is due and sets the alarm for the next one.
#[inline(never)]
#[cfg_attr(target_arch = "xtensa", unsafe(link_section = ".iram.text.clock_set_alarm"))]
fn set_alarm(state: &mut State) {
    loop {
        let now = state.extender.ticks_at(COUNT.read());
        let next = state.alarms.wake_due(now);
        let alarm = state.extender.count_for(next);
        ALARM.write(alarm);
        // Read after writing: either the counter has not met the alarm yet and will, or it is seen here.
        if !is_reached(alarm, COUNT.read()) {
            return;
        }
    }
}

/// embassy-time's driver; on a computer it has another one.
#[cfg(target_os = "none")]
mod driver {
    use core::task::Waker;

    use super::{COUNT, STATE, set_alarm};

    struct Driver;

    impl embassy_time_driver::Driver for Driver {
        fn now(&self) -> u64 {
            critical_section::with(|token| STATE.borrow_ref_mut(token).extender.ticks_at(COUNT.read()))
        }

        fn schedule_wake(&self, at: u64, waker: &Waker) {
            critical_section::with(|token| {
                let mut state = STATE.borrow_ref_mut(token);
                if state.alarms.add(at, waker) {
                    set_alarm(&mut state);
                }
            });
        }
    }

    embassy_time_driver::time_driver_impl!(static DRIVER: Driver = Driver);
}
