//! An ESP8266, as far as it is modelled: the LX106 core, the strict rules of its memory, peripherals, and the boot ROM.
//!
//! Sans-I/O: bytes and time in, bytes and time out. Nothing here knows of files, ports or the wall clock. It loads what is in
//! flash, as a board does. Whatever isn't modelled ends the run with its address; nothing is guessed.
//!
//! An instruction takes one cycle, whatever it is. Every instruction and every exception is compared with an independent
//! implementation, QEMU's `lx106`, in `tests/chip_qemu`.

pub mod core;
pub mod debug;
pub mod gdb;
mod machine;
pub mod memory;
pub mod peripherals;
mod rom;
pub mod symbols;
pub mod time;
pub mod trace;

use embassy_time::Instant;

use self::core::{Core, Stop};
use crate::devices::i2c::Wiring;
use crate::devices::nor_flash::{NorFlash, Timing};
use machine::Machine;
use peripherals::Peripherals;
use peripherals::rtc::Cause;
use peripherals::uart::SentByte;
pub use rom::NotStarted;
use time::Time;
use trace::Tracer;

/// What a chip is made with.
pub struct Settings {
    /// The flash chip.
    pub flash: NorFlash,
    /// How long its operations take.
    pub timing: Timing,
    /// What is on the pins.
    pub wiring: Wiring,
    /// Identifier of the chip, 24 bits.
    pub chip_id: u32,
    /// Decides the oscillator's jitter, the random numbers and what memory holds at power-on.
    pub seed: u64,
    /// The world's moment of power-on.
    pub origin: Instant,
}

/// Why [`Chip::run_until`] has come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The moment has come.
    Time,
    /// The flash chip has lost its power inside an operation: a planned cut.
    PowerLost,
    /// The chip was reset, and starts again.
    Reset(Cause),
    /// A program did what isn't modelled, or what silicon punishes in no defined way. The chip stands.
    Stopped(String),
    /// The boot ROM has started nothing.
    NotStarted(NotStarted),
}

/// An ESP8266.
pub struct Chip {
    core: Core,
    machine: Machine,
    /// When something happens next, if the program touches no register.
    next: Time,
    is_waiting: bool,
    is_standing: bool,
    /// Units of time that the core has slept.
    slept: u64,
    tracer: Option<Tracer>,
    debug: Option<debug::Debug>,
    rom: rom::State,
    /// The serial loader, while it waits for packets.
    loader: Option<rom::Loader>,
}

impl Chip {
    /// Returns a chip that has just got power. The boot ROM runs with the first [`run_until`](Self::run_until).
    pub fn new(settings: Settings) -> Self {
        let Settings { flash, timing, wiring, chip_id, seed, origin } = settings;
        let peripherals = Peripherals::new(flash, timing, wiring, chip_id, seed, origin);
        let mut chip = Chip {
            core: Core::new(0),
            machine: Machine::new(peripherals, seed),
            next: Time(0),
            is_waiting: false,
            is_standing: true,
            slept: 0,
            tracer: None,
            debug: None,
            rom: rom::State::default(),
            loader: None,
        };
        chip.machine.peripherals.rtc.reset(Cause::PowerOn);
        chip
    }

    /// Returns the moment up to which the chip has run.
    pub fn now(&self) -> Time {
        self.machine.now
    }

    /// Returns how long the core has slept in `waiti`, in microseconds.
    pub fn slept_us(&self) -> u64 {
        self.slept / time::PER_MICROSECOND
    }

    /// Returns how many instructions the core has executed since the last start.
    pub fn executed(&self) -> u64 {
        self.core.executed
    }

    /// Returns the peripherals.
    pub fn peripherals(&mut self) -> &mut Peripherals {
        self.next = Time(0);
        &mut self.machine.peripherals
    }

    /// From now on `tracer` is told what the chip does, or nobody is. The chip does the same, some times slower.
    pub fn trace(&mut self, tracer: Option<Tracer>) {
        self.tracer = tracer;
    }

    /// Returns the core: its registers, and where it is.
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// A byte reaches UART0 at `at`, which must not be before the moment up to which the chip has run.
    pub fn receive(&mut self, at: Time, byte: u8) {
        self.machine.peripherals.uarts[0].arrive(at, byte);
        self.next = Time(0);
    }

    /// Takes what UART0 has put on the wire.
    pub fn take_sent(&mut self) -> Vec<SentByte> {
        self.machine.peripherals.uarts[0].take_sent().collect()
    }

    /// Resets the chip and lets the boot ROM do what the straps say: start what is in flash, or wait for esptool.
    pub fn reset(&mut self, cause: Cause) -> End {
        self.machine.reset(cause);
        (self.is_waiting, self.is_standing, self.next) = (false, false, Time(0));
        (self.rom, self.loader) = (rom::State::default(), None);
        match rom::start(&mut self.core, &mut self.machine, cause) {
            Ok(loader) => {
                self.loader = loader;
                End::Reset(cause)
            }
            Err(error) => {
                self.is_standing = true;
                End::NotStarted(error)
            }
        }
    }

    /// Resets the chip while GPIO0 is held low, which is the strap of a download.
    pub fn reset_to_download(&mut self, cause: Cause) -> End {
        let at = self.machine.peripherals.instant(self.machine.now);
        let held = self.machine.peripherals.gpio.external(0);
        self.machine.peripherals.gpio.drive_pin(0, Some(false), at);
        let end = self.reset(cause);
        self.machine.peripherals.gpio.drive_pin(0, held, at);
        end
    }

    /// Lets time pass without power, or while nothing runs.
    pub fn skip_to(&mut self, at: Time) {
        self.machine.now = self.machine.now.max(at);
        self.next = Time(0);
    }

    /// Returns when the chip does something by itself: at once, while it isn't asleep; none where it stands or is halted.
    pub fn next_event(&self) -> Option<Time> {
        match (self.is_standing || self.is_halted(), self.is_waiting || self.loader.is_some()) {
            (true, _) => None,
            (false, false) => Some(self.machine.now),
            (false, true) => {
                let cycles = self.core.cycles_to_compare() * self.machine.peripherals.cycle();
                let compare = Time(self.machine.now.0 + cycles);
                Some(self.machine.peripherals.next_event().map_or(compare, |at| at.min(compare)))
            }
        }
    }

    /// Runs until `end`, or until something happens that whoever owns the board must know. A halted chip does not run.
    pub fn run_until(&mut self, end: Time) -> End {
        while self.machine.now < end && !self.is_halted() {
            if self.is_standing {
                self.machine.now = end;
                break;
            }
            if (self.machine.is_touched || self.machine.now >= self.next)
                && let Some(end) = self.attend()
            {
                return end;
            }
            if let Some(loader) = &mut self.loader {
                if loader.step(&mut self.core, &mut self.machine) {
                    self.loader = None;
                } else {
                    self.machine.now = self.next.min(end).max(Time(self.machine.now.0 + 1));
                }
                continue;
            }
            if self.is_waiting {
                if self.core.interrupt_pending() {
                    self.is_waiting = false;
                } else {
                    self.sleep_until(self.next.min(end));
                    continue;
                }
            }
            let is_watched = self.debug.as_ref().is_some_and(debug::Debug::is_watching);
            let result = self.execute(if is_watched { self.machine.now } else { self.next.min(end) });
            if let Some(debug) = &mut self.debug {
                match &result {
                    Ok(()) => debug.executed(self.core.pc),
                    Err(text) => debug.halt(debug::Halt::Stopped(text.clone())),
                }
            }
            if let Err(text) = result {
                return self.stand(text);
            }
        }
        End::Time
    }

    /// Executes instructions, or a function of the ROM, until `end` at the latest.
    fn execute(&mut self, end: Time) -> Result<(), String> {
        let length = self.machine.peripherals.cycle();
        let cycles = end.0.saturating_sub(self.machine.now.0).div_ceil(length).max(1);
        self.machine.begin(self.core.cycle);
        let result = match &mut self.tracer {
            None => self.core.run(&mut self.machine, self.core.cycle + cycles),
            Some(tracer) => trace::step(&mut self.core, &mut self.machine, tracer),
        };
        self.machine.catch_up(self.core.cycle);
        match result {
            Ok(_) => Ok(()),
            Err(Stop::Waiting) => {
                self.is_waiting = true;
                Ok(())
            }
            Err(Stop::Access { pc, address }) if pc == address && rom::contains(pc) => {
                if let Some(tracer) = &mut self.tracer {
                    let caller = self.core.registers[0];
                    tracer(self.machine.now, trace::Event::Rom { address, caller });
                }
                rom::call(&mut self.core, &mut self.machine, &mut self.rom)
            }
            Err(stop) => Err(self.explain(stop)),
        }
    }

    /// Lets the peripherals catch up, and plans what happens next.
    fn attend(&mut self) -> Option<End> {
        self.machine.is_touched = false;
        let Machine { peripherals, now, .. } = &mut self.machine;
        peripherals.advance(*now);
        if let Some(pin) = peripherals.gpio.conflict.take() {
            let text = format!(
                "GPIO{pin} drives a line of an I2C bus high: two devices could fight (UM10204, section 3.1.1)"
            );
            return Some(self.stand(text));
        }
        if !peripherals.spi.flash().is_powered() {
            self.is_standing = true;
            return Some(End::PowerLost);
        }
        if let Some(cause) = peripherals.reset_cause() {
            return Some(self.reset(cause));
        }
        if peripherals.spi.take_window_change() {
            self.core.forget_instructions();
        }
        let edges = peripherals.take_edges();
        let levels = peripherals.levels();
        for number in 0..15 {
            if edges & 1 << number != 0 {
                self.core.set_interrupt(number, true);
            }
        }
        self.core.drive_levels(Peripherals::LEVELS, levels);
        self.next = peripherals.next_event().unwrap_or(Time(u64::MAX));
        None
    }

    fn sleep_until(&mut self, at: Time) {
        let cycle = self.machine.peripherals.cycle();
        let cycles = at.0.saturating_sub(self.machine.now.0).div_ceil(cycle).max(1);
        let cycles = cycles.min(self.core.cycles_to_compare());
        self.core.idle(cycles);
        self.machine.now.0 += cycles * cycle;
        self.slept += cycles * cycle;
    }

    fn stand(&mut self, text: String) -> End {
        self.is_standing = true;
        End::Stopped(format!("{text}; pc {:#010x}, a0 {:#010x}", self.core.pc, self.core.registers[0]))
    }

    fn explain(&self, stop: Stop) -> String {
        match stop {
            Stop::Instruction { address, bytes } => {
                format!("no instruction of this core at {address:#010x}: bytes {bytes:#08x}")
            }
            Stop::Access { address, .. } if address >> 20 == 0x402 => {
                let is_mapped = self.machine.peripherals.spi.is_mapped();
                let why = if is_mapped { "the flash chip erases or programs" } else { "the cache is off" };
                format!("flash at {address:#010x} is used while {why}")
            }
            Stop::Access { address, .. } => format!("an access to {address:#010x}, which isn't modelled"),
            Stop::SpecialRegister { number, .. } => format!("special register {number} isn't modelled"),
            Stop::Simcall => "simcall: there is no host to call".to_owned(),
            Stop::Break(_) => "break: there is no debugger".to_owned(),
            Stop::Waiting => "waiting".to_owned(),
        }
    }
}
