//! The special registers of the LX106, by number (core configuration `core-lx106`; ISA manual, section 5.3).

/// Interrupts whose state is kept until INTCLEAR: software (7) and the edge lines (8–13).
pub(super) const EDGE: u32 = 0x3F80;
/// Registers that only tell what the core is (QEMU's `core-lx106`): LITBASE, CONFIGID0, CONFIGID1, DEBUGCAUSE, PRID. LITBASE
/// may be cleared, which it is; literals at a base aren't implemented, and no debugger ever is a cause.
const FIXED: [(u8, u32); 5] = [(LITBASE, 0), (176, 0xC28C_DAFA), (208, 0x1082_B6F6), (233, 0), (235, 0)];
const LITBASE: u8 = 5;
const SOFTWARE: u32 = 1 << 7;
const TIMER: u32 = 1 << 6;

/// What `rsr`, `wsr` and `xsr` reach.
#[derive(Clone, Debug)]
pub struct SpecialRegisters {
    /// The shift amount, 0–63.
    pub sar: u32,
    /// The processor status: interrupt level 3:0, exception mode 4, user vector 5.
    pub ps: u32,
    /// Where the vectors start.
    pub vecbase: u32,
    /// EPC1 to EPC3.
    pub epc: [u32; 3],
    /// EPS2 and EPS3.
    pub eps: [u32; 2],
    /// EXCSAVE1 to EXCSAVE3.
    pub excsave: [u32; 3],
    /// The address of a double exception.
    pub depc: u32,
    /// The cause of the newest exception.
    pub exccause: u32,
    /// The address that the newest exception was about.
    pub excvaddr: u32,
    /// Interrupts that are raised.
    pub interrupt: u32,
    /// Interrupts that are let through.
    pub intenable: u32,
    /// The cycle counter.
    pub ccount: u32,
    /// The cycle that raises interrupt 6.
    pub ccompare: u32,
}

impl Default for SpecialRegisters {
    fn default() -> Self {
        SpecialRegisters {
            sar: 0,
            ps: 0x1F,
            vecbase: 0x4000_0000,
            epc: [0; 3],
            eps: [0; 2],
            excsave: [0; 3],
            depc: 0,
            exccause: 0,
            excvaddr: 0,
            interrupt: 0,
            intenable: 0,
            ccount: 0,
            ccompare: 0,
        }
    }
}

impl SpecialRegisters {
    pub(super) fn advance(&mut self, cycles: u64) {
        let left = u64::from(self.ccompare.wrapping_sub(self.ccount).wrapping_sub(1)) + 1;
        if cycles >= left {
            self.interrupt |= TIMER;
        }
        self.ccount = self.ccount.wrapping_add(cycles as u32);
    }

    fn slot(&mut self, number: u8) -> Option<&mut u32> {
        Some(match number {
            3 => &mut self.sar,
            177..=179 => &mut self.epc[usize::from(number - 177)],
            192 => &mut self.depc,
            194 | 195 => &mut self.eps[usize::from(number - 194)],
            209..=211 => &mut self.excsave[usize::from(number - 209)],
            228 => &mut self.intenable,
            230 => &mut self.ps,
            231 => &mut self.vecbase,
            232 => &mut self.exccause,
            234 => &mut self.ccount,
            238 => &mut self.excvaddr,
            240 => &mut self.ccompare,
            _ => return None,
        })
    }

    /// Returns a register by its number, as `rsr` does; none where it isn't modelled.
    pub fn read(&mut self, number: u8) -> Option<u32> {
        match FIXED.iter().find(|(known, _)| *known == number) {
            Some((_, value)) => Some(*value),
            None if number == 226 => Some(self.interrupt),
            None => self.slot(number).map(|slot| *slot),
        }
    }

    /// Writes a register by its number, as `wsr` does; none where it isn't modelled.
    pub fn write(&mut self, number: u8, value: u32) -> Option<()> {
        match number {
            226 => self.interrupt |= value & SOFTWARE,
            227 => self.interrupt &= !(value & EDGE),
            LITBASE if value == 0 => {}
            _ => {
                let mask = match number {
                    3 => 0x3F,
                    228 => 0x7FFF,
                    230 => 0x3F,
                    231 => !0xFF,
                    232 => 0x3F,
                    _ => !0,
                };
                *self.slot(number)? = value & mask;
                if number == 240 {
                    self.interrupt &= !TIMER;
                }
            }
        }
        Some(())
    }
}
