//! The converter behind the pin A0 (TOUT): 0 to 1 V in 1024 steps.
//!
//! The steps are those of the NONOS SDK's `test_tout` and of esp8266web's `adc.c`, which agree; esp8266-hal has no converter.
//! It is on for one measurement, about 200 µs, because the radio uses it too.

use crate::clock;
use crate::mmio::{Access, Register, Registers};

/// Clock and power of the analog parts, in the real-time clock's block.
const POWER: Register = Register::new(0x6000_0710);
/// Gates of clocks, and a switch without a name, which a chip needs whose radio never ran.
const CLOCK_GATES: Register = Register::new(0x3ff0_0018);
const ANALOG_SWITCH: Register = Register::new(0x6000_05e8);
/// The internal bus, one word for each of its hosts.
const BUS: Registers<16> = Registers::new(0x6000_0d00);
const CFG: Register = Register::new(0x6000_0d50);
const TIMING_1: Register = Register::new(0x6000_0d54);
const TIMING_2: Register = Register::new(0x6000_0d58);
const CFG1: Register = Register::new(0x6000_0d5c);
const CFG2: Register = Register::new(0x6000_0d60);
const RESULTS: Registers<8> = Registers::new(0x6000_0d80);

const POWER_CONVERTER: u32 = 3 << 25;
const GATES_ANALOG: u32 = 0x038f_0000;
const ANALOG_SWITCH_ON: u32 = 0x0180_0000;
/// Internal bus: a write; and not done yet.
const BUS_WRITE: u32 = 1 << 24;
const BUS_BUSY: u32 = 1 << 25;
/// Block and host of the converter on the internal bus, and of the radio's part beside it.
const CONVERTER: (u32, u32) = (108, 2);
const RADIO: (u32, u32) = (98, 1);
/// Eight samples, 46,875 of them a second.
const CFG_EIGHT_SAMPLES: u32 = 0x08bc;
const CFG_START: u32 = 1 << 1;
const CFG_STATE: u32 = 7 << 24;
const CFG1_ON: u32 = 1 << 21;
const CFG2_RELEASE: u32 = 1;
/// Longest time that anything here takes; eight samples take 171 µs.
const LIMIT_US: u32 = 2_000;

/// The largest reading, 1 V.
pub const FULL_SCALE: u16 = 1024;

/// The converter does not come to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout;

/// The converter.
#[derive(Debug)]
pub struct Adc<A>(A);

impl<A: Access> Adc<A> {
    /// Prepares the analog parts. To be called once, with the PLL and the clock running, and not beside the vendor's radio code.
    ///
    /// # Errors
    /// [`Timeout`] where the internal bus does not answer.
    pub fn start(access: A) -> Result<Self, Timeout> {
        let mut adc = Adc(access);
        adc.0.change(POWER, 0, POWER_CONVERTER);
        adc.0.change(CLOCK_GATES, 0, GATES_ANALOG);
        adc.0.change(ANALOG_SWITCH, 0, ANALOG_SWITCH_ON);
        adc.change_analog(RADIO, 3, 0xf0, 0xf0)?;
        // As the ROM's `rom_sar_init`.
        adc.change_analog(CONVERTER, 0, 1 << 4, 1 << 4)?;
        adc.change_analog(CONVERTER, 1, 3, 2)?;
        Ok(adc)
    }

    /// Measures: 0 at 0 V, [`FULL_SCALE`] at 1 V and above, the mean of eight samples.
    ///
    /// # Errors
    /// [`Timeout`]; the converter is off then, as far as it can be switched off.
    pub fn read(&mut self) -> Result<u16, Timeout> {
        let converted = self.convert();
        let off = self.switch_off();
        converted.and_then(|reading| off.map(|()| reading))
    }

    fn convert(&mut self) -> Result<u16, Timeout> {
        self.0.write(CFG, CFG_EIGHT_SAMPLES);
        self.0.write(TIMING_1, 0x07_0727);
        self.0.write(TIMING_2, 0x4f_1757);
        self.change_analog(CONVERTER, 0, 1 << 5, 1 << 5)?;
        self.0.change(CFG1, 0, CFG1_ON);
        self.wait_idle()?;
        self.0.change(CFG, CFG_START, 0);
        self.0.change(CFG, 0, CFG_START);
        // The state shows the conversion only after 2 µs.
        clock::wait_for(&mut self.0, 3, |_| false);
        self.wait_idle()?;
        Ok(reading(core::array::from_fn(|index| self.0.read(RESULTS.at(index as u32)))))
    }

    fn switch_off(&mut self) -> Result<(), Timeout> {
        self.change_analog(CONVERTER, 0, 1 << 5, 0)?;
        self.wait_idle()?;
        self.0.change(CFG1, CFG1_ON, 0);
        self.0.change(CFG2, CFG2_RELEASE, 0);
        self.0.change(CFG2, 0, CFG2_RELEASE);
        Ok(())
    }

    fn wait_idle(&mut self) -> Result<(), Timeout> {
        let is_idle = clock::wait_for(&mut self.0, LIMIT_US, |access| access.read(CFG) & CFG_STATE == 0);
        if is_idle { Ok(()) } else { Err(Timeout) }
    }

    /// Gives the bits of `mask` in an analog register the value `bits`.
    fn change_analog(
        &mut self,
        (block, host): (u32, u32),
        register: u32,
        mask: u32,
        bits: u32,
    ) -> Result<(), Timeout> {
        let place = register << 8 | block;
        let held = self.analog(host, place)? >> 16 & 0xff;
        self.analog(host, BUS_WRITE | (held & !mask | bits) << 16 | place).map(|_| ())
    }

    /// One transfer on the internal bus.
    fn analog(&mut self, host: u32, word: u32) -> Result<u32, Timeout> {
        let bus = BUS.at(host);
        self.0.write(bus, word);
        let is_done = clock::wait_for(&mut self.0, LIMIT_US, |access| access.read(bus) & BUS_BUSY == 0);
        if is_done { Ok(self.0.read(bus)) } else { Err(Timeout) }
    }
}

/// Returns the mean of eight results. A result is stored inverted, and its low byte begins at 21 and has steps missing.
fn reading(raw: [u32; 8]) -> u16 {
    let sum: u32 = raw
        .iter()
        .map(|word| {
            let word = !word;
            word & 0x700 | ((word & 0xff).saturating_sub(21) * 279 / 256).min(255)
        })
        .sum();
    ((sum + 8) >> 4) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_become_readings_as_in_the_vendors_code() {
        // Low byte 21 and less is nothing, 0xff is the end of its range: (255 - 21) · 279 / 256 = 255.02.
        for (inverted, expected) in
            [(0, 0), (21, 0), (0xff, 128), (0x100 | 21, 128), (0x7ff, 1024), (0x400, 512)]
        {
            assert_eq!(reading([!inverted; 8]), expected, "{inverted:#x}");
        }
        // Bits above the eleven are nobody's; the mean is rounded.
        assert_eq!(reading([!0xffff_f800; 8]), 0);
        let mixed =
            [0x100 | 21, 0x100 | 21, 0x100 | 21, 0x100 | 21, 0x200 | 21, 0x200 | 21, 0x200 | 21, 0x200 | 21];
        assert_eq!(reading(mixed.map(|word: u32| !word)), 192);
    }

    #[test]
    fn more_voltage_never_reads_as_less() {
        let readings: Vec<u16> = (0..0x800).map(|word| reading([!word; 8])).collect();
        assert!(readings.is_sorted());
    }
}
