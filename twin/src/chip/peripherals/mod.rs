//! The chip's peripherals by address, and the clock that they share.
//!
//! A register that isn't modelled refuses its access, and the run stops with its address: silence would be a guess.

pub mod adc;
pub mod gpio;
pub mod hspi;
pub mod rtc;
pub mod spi_flash;
pub mod timers;
pub mod uart;
pub mod watchdog;

use embassy_time::Instant;
use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg32;

use super::core::bus::Refusal;
use super::time::{PER_MICROSECOND, Time};
use crate::devices::i2c::Wiring;
use crate::devices::nor_flash::{NorFlash, Timing};
use adc::Adc;
use gpio::Gpio;
use hspi::Hspi;
use rtc::{Cause, Rtc};
use spi_flash::SpiFlash;
use timers::Timers;
use uart::Uart;
use watchdog::{Bite, Watchdog};

/// Units of time in a cycle of 52 MHz, of 80 MHz and of 160 MHz.
const CYCLE_52: u64 = PER_MICROSECOND / 52;
const CYCLE_80: u64 = PER_MICROSECOND / 80;
const CYCLE_160: u64 = PER_MICROSECOND / 160;
/// The PLL's block on the internal bus, and the register whose writing starts it (NONOS SDK; nosdk8266).
const PLL_BLOCK: u32 = 103;
const PLL_REGISTER: u32 = 2;
/// The converter's block and host on the internal bus, and what switches it on there (ROM `rom_sar_init`; NONOS SDK
/// `test_tout`): register 0 bits 4 and 5, register 1 bits 1:0 at 2. Its clock and power are bits 26:25 of the RTC's 0x10.
const SAR: (u32, u32) = (108, 2);
const SAR_ON: u8 = 0x30;
const SAR_POWER: u32 = 3 << 25;
/// Interrupts of the processor.
const SPI: u32 = 2;
const GPIO: u32 = 4;
const UART: u32 = 5;
const WATCHDOG: u32 = 8;
const FRC1: u32 = 9;
const FRC2: u32 = 10;
const NMI: u32 = 14;
/// What the low five bits of DPORT's first register say of the NMI: FRC1 raises it, or is held until it may. Known from
/// what the SDK's `NmiTimSetFunc` and its handler write (esp8266web); no source tells the single bits apart.
const NMI_GATE: u32 = 0x1f;
const NMI_OPEN: u32 = 0x0f;
const NMI_HELD: u32 = 0x0e;

/// Plain registers of DPORT, and the bits that are modelled or have no effect that a program sees: which edges interrupt, the
/// doubled clock, the clocks of the analog parts, and the banks of the cache.
const DPORT: [(u32, u32); 4] = [(0x04, 7), (0x14, 1), (0x18, 0x038f_0000), (0x24, 0x18)];
/// DPORT 0x0c: which MiB of flash the window shows.
const CACHE_PLACE: u32 = 7 << 16 | 3 << 24;

/// All peripherals.
pub struct Peripherals {
    /// UART0 and UART1.
    pub uarts: [Uart; 2],
    /// The pins.
    pub gpio: Gpio,
    /// The flash controller and the cache.
    pub spi: SpiFlash,
    /// The user's SPI.
    pub hspi: Hspi,
    /// The converter.
    pub adc: Adc,
    /// The real-time clock.
    pub rtc: Rtc,
    timers: Timers,
    watchdog: Watchdog,
    dport: [u32; 64],
    efuse: [u32; 4],
    analog: std::collections::BTreeMap<(u32, u32, u32), u8>,
    analog_word: [u32; 16],
    /// A switch of the analog parts that esp8266web sets on a chip whose radio never ran. What it does is not known.
    analog_switch: u32,
    random: Pcg32,
    seed: u64,
    has_pll: bool,
    /// Interrupts of edges that have happened and the core has not been told.
    edges: u32,
    /// FRC1 has fired while the NMI was held.
    is_nmi_held: bool,
    bite: Option<Cause>,
    /// The world's moment of power-on.
    origin: Instant,
}

impl Peripherals {
    /// Returns the peripherals of a chip with this identifier, on a board with this flash and wiring.
    pub fn new(
        flash: NorFlash,
        timing: Timing,
        wiring: Wiring,
        chip_id: u32,
        seed: u64,
        origin: Instant,
    ) -> Self {
        Peripherals {
            uarts: [Uart::new(), Uart::new()],
            gpio: Gpio::new(wiring),
            spi: SpiFlash::new(flash, timing),
            hspi: Hspi::default(),
            adc: Adc::default(),
            rtc: Rtc::new(seed),
            timers: Timers::default(),
            watchdog: Watchdog::default(),
            dport: [0; 64],
            // The lowest byte of the identifier is the highest of the first word (esptool, read_mac).
            efuse: [chip_id << 24, chip_id >> 8 & 0xffff, 0, 0],
            analog: std::collections::BTreeMap::new(),
            analog_word: [0; 16],
            analog_switch: 0,
            random: Pcg32::seed_from_u64(0),
            seed,
            has_pll: false,
            edges: 0,
            is_nmi_held: false,
            bite: None,
            origin,
        }
    }

    /// The chip is reset for this reason.
    pub fn reset(&mut self, now: Time, cause: Cause) {
        self.uarts.iter_mut().for_each(|uart| uart.reset(now));
        let at = self.instant(now);
        self.gpio.reset(at, cause == Cause::PowerOn);
        self.spi.reset(cause == Cause::PowerOn);
        self.hspi.reset();
        self.adc.reset();
        self.analog.clear();
        self.rtc.reset(cause);
        self.timers = Timers::default();
        self.watchdog = Watchdog::default();
        self.dport = [0; 64];
        self.has_pll = false;
        self.edges = 0;
        self.is_nmi_held = false;
        self.bite = None;
        // Without the radio the random numbers after a reset are always the same (esp8266-re wiki).
        self.random = Pcg32::seed_from_u64(self.seed & 0xff);
    }

    /// Returns the units of time in a cycle of the processor.
    pub fn cycle(&self) -> u64 {
        match (self.has_pll, self.dport[5] & 1) {
            (false, _) => CYCLE_52,
            (true, 0) => CYCLE_80,
            (true, _) => CYCLE_160,
        }
    }

    /// Returns the units of time in a cycle of the peripherals.
    pub fn apb(&self) -> u64 {
        if self.has_pll { CYCLE_80 } else { CYCLE_52 }
    }

    /// Returns `now` on the world's clock.
    pub fn instant(&self, now: Time) -> Instant {
        now.instant(self.origin)
    }

    /// Lets everything happen that is due at `now`.
    pub fn advance(&mut self, now: Time) {
        let apb = self.apb();
        self.uarts.iter_mut().for_each(|uart| uart.advance(now, apb));
        self.hspi.advance(now);
        let [first, second] = self.timers.advance(now, apb);
        let bite = self.watchdog.advance(now, apb);
        let enabled = self.dport[1];
        let first_to = if self.dport[0] & NMI_GATE == 0 { FRC1 } else { NMI };
        for (number, bit, happened) in
            [(WATCHDOG, 1, bite == Some(Bite::Interrupt)), (first_to, 2, first), (FRC2, 4, second)]
        {
            self.edges |= if happened && enabled & bit != 0 { 1 << number } else { 0 };
        }
        if self.dport[0] & NMI_GATE == NMI_HELD {
            self.is_nmi_held |= self.edges & 1 << NMI != 0;
            self.edges &= !(1 << NMI);
        }
        if bite == Some(Bite::Reset) {
            self.bite = Some(Cause::Watchdog);
        } else if self.rtc.reset_is_due() {
            self.bite = Some(Cause::Software);
        }
    }

    /// Returns when something happens next, if nobody touches a register.
    pub fn next_event(&self) -> Option<Time> {
        let apb = self.apb();
        let uarts = self.uarts.iter().filter_map(|uart| uart.next_event(apb)).min();
        let others = [self.timers.next_event(), self.watchdog.next_event(), self.hspi.next_event()];
        others.into_iter().chain([uarts]).flatten().min()
    }

    /// Takes the interrupts of edges that have happened.
    pub fn take_edges(&mut self) -> u32 {
        std::mem::take(&mut self.edges)
    }

    /// The interrupts of levels that are modelled.
    pub const LEVELS: u32 = 1 << SPI | 1 << UART | 1 << GPIO;

    /// Returns the interrupts of levels that are raised.
    pub fn levels(&self) -> u32 {
        let is_uart_raised = self.uarts.iter().any(|uart| uart.interrupts() != 0);
        u32::from(is_uart_raised) << UART
            | u32::from(self.gpio.is_raised()) << GPIO
            | u32::from(self.hspi.is_raised()) << SPI
    }

    /// Returns why the chip is to be reset.
    pub fn reset_cause(&self) -> Option<Cause> {
        self.bite
    }

    /// Writes a register behind the internal bus, as the ROM's `rom_i2c_writeReg` does.
    pub fn write_analog(&mut self, now: Time, block: u32, host: u32, register: u32, value: u8) {
        self.analog.insert((block, host, register), value);
        if (block, register) == (PLL_BLOCK, PLL_REGISTER) && !self.has_pll {
            self.timers.clock_changes(now, CYCLE_52);
            self.has_pll = true;
            self.timers.plan(now, CYCLE_80);
        }
    }

    /// What the ROM's `Cache_Read_Enable` leaves: the first MiB is shown, with 16 or 32 KiB of cache.
    ///
    /// # Errors
    /// Another MiB than the first isn't modelled.
    pub fn enable_cache(&mut self, odd_even: u32, block: u32, is_large: bool) -> Result<(), Refusal> {
        if (odd_even, block) != (0, 0) {
            return Err(Refusal::Unmodelled);
        }
        self.dport[9] |= if is_large { 0x18 } else { 0x08 };
        self.dport[3] = 1 << 8 | u32::from(is_large) << 26 | 1 << 1;
        self.spi.flush();
        self.spi.allow_cache(true);
        self.spi.enable_cache(true);
        Ok(())
    }

    /// What the ROM's `Cache_Read_Disable` leaves.
    pub fn disable_cache(&mut self) {
        self.dport[3] &= !(1 << 8);
        self.spi.enable_cache(false);
        self.spi.allow_cache(false);
        self.spi.flush();
    }

    /// Returns how much instruction RAM there is: what the cache uses is none.
    pub fn instruction_ram(&self) -> u32 {
        match self.dport[9] & 0x18 {
            0 => 0x1_0000,
            0x08 => 0xc000,
            _ => 0x8000,
        }
    }

    /// Reads a register.
    ///
    /// # Errors
    /// It isn't modelled.
    pub fn load(&mut self, address: u32, now: Time) -> Result<u32, Refusal> {
        let (apb, offset) = (self.apb(), address & 0xff);
        self.advance(now);
        match address {
            0x6000_0000..=0x6000_00ff => self.uarts[0].read(offset),
            0x6000_0100..=0x6000_01ff => self.hspi.read(offset),
            0x6000_0200..=0x6000_02ff => self.spi.read(offset),
            0x6000_0300..=0x6000_03ff => {
                let at = self.instant(now);
                self.gpio.read(offset, at)
            }
            0x6000_05e8 => Ok(self.analog_switch),
            0x6000_0600..=0x6000_06ff => self.timers.read(offset, now, apb),
            0x6000_0700..=0x6000_07ff => self.rtc.read(offset, now),
            0x6000_0800..=0x6000_08ff => {
                let at = self.instant(now);
                self.gpio.mux(offset, None, at)
            }
            0x6000_0900..=0x6000_09ff => self.watchdog.read(offset, now, apb),
            0x6000_0d00..=0x6000_0d3f => Ok(self.analog_word[(offset as usize / 4) & 15]),
            0x6000_0d50..=0x6000_0d9f => self.adc.read(offset, now),
            0x6000_0f00..=0x6000_0fff => self.uarts[1].read(offset),
            0x6000_1000..=0x6000_13ff => self.rtc.memory(address & 0x3ff).map(|word| *word),
            0x3ff0_0000..=0x3ff0_ffff => self.load_dport(offset),
            0x3ff2_0e44 => Ok(self.random.next_u32()),
            0x3ff2_0c00 => Ok(now.micros() as u32),
            0x3ff2_0020 => {
                let [zero, one] = [0, 1].map(|index: usize| u32::from(self.uarts[index].interrupts() != 0));
                Ok(zero | one << 2)
            }
            _ => Err(Refusal::Unmodelled),
        }
    }

    fn load_dport(&mut self, offset: u32) -> Result<u32, Refusal> {
        match offset {
            0x50..=0x5c => Ok(self.efuse[(offset as usize - 0x50) / 4]),
            0x20 => Ok(u32::from(self.hspi.is_raised()) << 7),
            0x00 | 0x04 | 0x0c | 0x14 | 0x18 | 0x24 => Ok(self.dport[offset as usize / 4]),
            _ => Err(Refusal::Unmodelled),
        }
    }

    /// Writes a register.
    ///
    /// # Errors
    /// It isn't modelled, or what it would do isn't.
    pub fn store(&mut self, address: u32, value: u32, now: Time) -> Result<(), Refusal> {
        let (apb, offset) = (self.apb(), address & 0xff);
        self.advance(now);
        let at = self.instant(now);
        match address {
            0x6000_0000..=0x6000_00ff => self.uarts[0].write(offset, value, now, apb),
            0x6000_0100..=0x6000_01ff => self.hspi.write(offset, value, now, apb, at),
            0x6000_0200..=0x6000_02ff => self.spi.write(offset, value, now),
            0x6000_0300..=0x6000_03ff => {
                self.gpio.write(offset, value, at)?;
                self.select(at);
                Ok(())
            }
            0x6000_05e8 => {
                self.analog_switch = value;
                Ok(())
            }
            0x6000_0600..=0x6000_06ff => self.timers.write(offset, value, now, apb),
            0x6000_0700..=0x6000_07ff => self.rtc.write(offset, value),
            0x6000_0800..=0x6000_08ff => {
                self.gpio.mux(offset, Some(value), at)?;
                self.select(at);
                Ok(())
            }
            0x6000_0900..=0x6000_09ff => self.watchdog.write(offset, value, now, apb),
            0x6000_0d00..=0x6000_0d3f => {
                let host = offset / 4;
                if value & 1 << 24 != 0 {
                    self.write_analog(now, value & 0xff, host, value >> 8 & 0xff, (value >> 16) as u8);
                }
                let held = self.analog.get(&(value & 0xff, host, value >> 8 & 0xff)).copied().unwrap_or(0);
                self.analog_word[host as usize & 15] = value & 0xffff | u32::from(held) << 16;
                Ok(())
            }
            0x6000_0d50..=0x6000_0d9f => {
                let is_powered = self.is_converter_powered(now);
                self.adc.write(offset, value, now, is_powered)
            }
            0x6000_0f00..=0x6000_0fff => self.uarts[1].write(offset, value, now, apb),
            0x6000_1000..=0x6000_13ff => self.rtc.memory(address & 0x3ff).map(|word| *word = value),
            0x3ff0_0000..=0x3ff0_ffff => self.store_dport(offset, value),
            _ => Err(Refusal::Unmodelled),
        }
    }

    /// Lets the devices see which of the pins that select them are low.
    fn select(&mut self, at: Instant) {
        let pins: Vec<u8> = self.hspi.selecting().collect();
        for pin in pins {
            let is_high = self.gpio.driven(pin).unwrap_or(true);
            self.hspi.select(pin, is_high, at);
        }
    }

    fn is_converter_powered(&self, now: Time) -> bool {
        let held = |register| self.analog.get(&(SAR.0, SAR.1, register)).copied().unwrap_or(0);
        let has_power = self.rtc.read(0x10, now).is_ok_and(|value| value & SAR_POWER == SAR_POWER);
        has_power && held(0) & SAR_ON == SAR_ON && held(1) & 3 == 2
    }

    fn store_dport(&mut self, offset: u32, value: u32) -> Result<(), Refusal> {
        match offset {
            // Another MiB than the first.
            0x0c if value & CACHE_PLACE != 0 => return Err(Refusal::Unmodelled),
            0x0c => {
                self.spi.enable_cache(value & 1 << 8 != 0);
                if value & 1 != 0 {
                    self.spi.flush();
                }
                // Flushing is done when it is looked at.
                self.dport[3] = value | 1 << 1;
            }
            0x00 => {
                self.dport[0] = value;
                match value & NMI_GATE {
                    NMI_OPEN if std::mem::take(&mut self.is_nmi_held) => self.edges |= 1 << NMI,
                    0 | NMI_OPEN | NMI_HELD => {}
                    _ => return Err(Refusal::Unmodelled),
                }
            }
            _ => {
                let modelled = DPORT.iter().find(|(known, _)| *known == offset).map_or(0, |(_, bits)| *bits);
                if modelled == 0 || value & !modelled != 0 {
                    return Err(Refusal::Unmodelled);
                }
                self.dport[offset as usize / 4] = value;
            }
        }
        Ok(())
    }
}
