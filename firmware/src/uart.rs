//! UART0, the line to the host: rings in both directions, filled and emptied by interrupts.
//!
//! The receive FIFO has 128 bytes. It is emptied at 32 bytes, or when the line has been quiet for two characters. What is
//! lost (FIFO or ring full) and what arrived damaged is counted, and the frames' checksums find it. Parts of the chip's
//! behaviour that no source states are not relied on: at most 126 bytes wait in the send FIFO, and the "send FIFO is low"
//! interrupt is off while there is nothing to send.

use core::cell::RefCell;
use core::convert::Infallible;
use core::future::poll_fn;
use core::task::Poll;

use critical_section::Mutex;
use embassy_sync::waitqueue::WakerRegistration;
use embassy_time::{Duration, Timer};
use embedded_io_async::{ErrorType, Read, Write};

use crate::mmio::Register;
use crate::ring::Ring;

const FIFO: Register = Register::new(0x6000_0000);
const INT_ST: Register = Register::new(0x6000_0008);
const INT_ENA: Register = Register::new(0x6000_000c);
const INT_CLR: Register = Register::new(0x6000_0010);
const CLKDIV: Register = Register::new(0x6000_0014);
const STATUS: Register = Register::new(0x6000_001c);
const CONF0: Register = Register::new(0x6000_0020);
const CONF1: Register = Register::new(0x6000_0024);
/// Pad of GPIO2, which the boot ROM makes a mirror of the sending line.
const PAD_GPIO2: Register = Register::new(0x6000_0838);

const INT_RX_FULL: u32 = 1 << 0;
const INT_TX_EMPTY: u32 = 1 << 1;
const INT_PARITY: u32 = 1 << 2;
const INT_FRAMING: u32 = 1 << 3;
const INT_OVERRUN: u32 = 1 << 4;
const INT_BREAK: u32 = 1 << 7;
const INT_RX_TIMEOUT: u32 = 1 << 8;
const INT_RECEIVE: u32 = INT_RX_FULL | INT_RX_TIMEOUT | INT_PARITY | INT_FRAMING | INT_OVERRUN | INT_BREAK;

/// 8 data bits, no parity, 1 stop bit.
const CONF0_8N1: u32 = 3 << 2 | 1 << 4;
/// Empties the receive FIFO and the send FIFO.
const CONF0_RESET_FIFOS: u32 = 1 << 17 | 1 << 18;
/// Receive interrupt at 32 bytes or after two quiet characters; send interrupt at 32 bytes left.
const CONF1_LEVELS: u32 = 32 | 32 << 8 | 2 << 24 | 1 << 31;
/// Bytes that may wait in the send FIFO.
const SEND_FIFO_SIZE: u32 = 126;
/// The clock that the rate is divided from, in Hz.
const CLOCK_HZ: u32 = 80_000_000;
/// Bits of a character on the line.
const CHARACTER_BITS: u32 = 10;

/// Bytes that wait to be read: what a host sends while a page of flash is programmed and a bus is served, many times over.
const RECEIVE_SIZE: usize = 1024;
/// Bytes that wait to be sent: a frame and a line of text. More would hold up a reply behind network packets.
const SEND_SIZE: usize = 512;

/// What went wrong on the line since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineCounts {
    /// Times that bytes were lost because the FIFO or the ring was full.
    pub overruns: u32,
    /// Characters without a stop bit, as noise and a wrong rate cause.
    pub framing: u32,
    /// Breaks: the line was low for longer than a character.
    pub breaks: u32,
}

struct State {
    received: Ring<RECEIVE_SIZE>,
    to_send: Ring<SEND_SIZE>,
    reader: WakerRegistration,
    writer: WakerRegistration,
    counts: LineCounts,
    character_us: u32,
}

static STATE: Mutex<RefCell<State>> = Mutex::new(RefCell::new(State {
    received: Ring::new(),
    to_send: Ring::new(),
    reader: WakerRegistration::new(),
    writer: WakerRegistration::new(),
    counts: LineCounts { overruns: 0, framing: 0, breaks: 0 },
    // Set with the divider. Anything but zero here would move the rings from .bss to .data, and into flash.
    character_us: 0,
}));

/// Sets the line up at `rate` bits per second and returns its two halves. To be called once, with the PLL running.
pub fn start(rate: u32) -> (Reader, Writer) {
    critical_section::with(|_| {
        INT_ENA.write(0);
        CONF0.write(CONF0_8N1 | CONF0_RESET_FIFOS);
        CONF0.write(CONF0_8N1);
        CONF1.write(CONF1_LEVELS);
        PAD_GPIO2.write(0);
        set_divider(rate);
        INT_CLR.write(0x1ff);
        INT_ENA.write(INT_RECEIVE);
    });
    (Reader(()), Writer(()))
}

/// Changes the rate. Whoever calls it has [flushed](Write::flush) the writer.
pub fn set_rate(rate: u32) {
    set_divider(rate);
}

fn set_divider(rate: u32) {
    let rate = rate.clamp(300, 4_000_000);
    CLKDIV.write((CLOCK_HZ + rate / 2) / rate);
    critical_section::with(|token| {
        STATE.borrow_ref_mut(token).character_us = (CHARACTER_BITS * 1_000_000).div_ceil(rate);
    });
}

/// Returns what went wrong on the line since the start.
pub fn counts() -> LineCounts {
    critical_section::with(|token| STATE.borrow_ref(token).counts)
}

/// Serves interrupt 5, as far as it is UART0's.
#[inline(never)]
#[cfg_attr(target_arch = "xtensa", unsafe(link_section = ".iram.text.uart_interrupt"))]
pub fn on_interrupt() {
    let status = INT_ST.read();
    critical_section::with(|token| {
        // Whoever borrows holds interrupts, so that nobody does now. A panic's way out would lead to flash.
        let Ok(mut state) = STATE.borrow(token).try_borrow_mut() else { return };
        if status & INT_RECEIVE != 0 {
            state.receive(status);
        }
        if status & INT_TX_EMPTY != 0 {
            state.send();
            state.writer.wake();
        }
    });
}

impl State {
    #[inline(never)]
    #[cfg_attr(target_arch = "xtensa", unsafe(link_section = ".iram.text.uart_receive"))]
    fn receive(&mut self, status: u32) {
        // What has been read is cleared first and the FIFO emptied afterwards: what arrives in between asks again.
        INT_CLR.write(status & INT_RECEIVE);
        self.counts.framing += u32::from(status & INT_FRAMING != 0);
        self.counts.breaks += u32::from(status & INT_BREAK != 0);
        let mut is_lost = status & INT_OVERRUN != 0;
        while STATUS.read() & 0xff != 0 {
            is_lost |= !self.received.push(FIFO.read() as u8);
        }
        self.counts.overruns += u32::from(is_lost);
        self.reader.wake();
    }

    /// Moves bytes into the send FIFO, and asks for an interrupt while more are left.
    #[inline(never)]
    #[cfg_attr(target_arch = "xtensa", unsafe(link_section = ".iram.text.uart_send"))]
    fn send(&mut self) {
        while STATUS.read() >> 16 & 0xff < SEND_FIFO_SIZE {
            let Some(byte) = self.to_send.pop() else { break };
            FIFO.write(byte.into());
        }
        INT_CLR.write(INT_TX_EMPTY);
        if self.to_send.is_empty() {
            INT_ENA.write(INT_RECEIVE);
        } else {
            INT_ENA.write(INT_RECEIVE | INT_TX_EMPTY);
        }
    }
}

/// Bytes from the host.
#[derive(Debug)]
pub struct Reader(());

/// Bytes to the host.
#[derive(Debug)]
pub struct Writer(());

impl ErrorType for Reader {
    type Error = Infallible;
}

impl ErrorType for Writer {
    type Error = Infallible;
}

impl Read for Reader {
    /// Waits for bytes. Dropping the future loses none.
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        if buffer.is_empty() {
            return Ok(0);
        }
        poll_fn(|context| {
            critical_section::with(|token| {
                let mut state = STATE.borrow_ref_mut(token);
                match state.received.take(buffer) {
                    0 => {
                        state.reader.register(context.waker());
                        Poll::Pending
                    }
                    count => Poll::Ready(Ok(count)),
                }
            })
        })
        .await
    }
}

impl Write for Writer {
    /// Puts bytes into the ring, waiting for room for one. Dropping the future before it is ready has put none in.
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        if bytes.is_empty() {
            return Ok(0);
        }
        poll_fn(|context| {
            critical_section::with(|token| {
                let mut state = STATE.borrow_ref_mut(token);
                let count = state.to_send.put(bytes);
                state.send();
                if count > 0 {
                    return Poll::Ready(Ok(count));
                }
                state.writer.register(context.waker());
                Poll::Pending
            })
        })
        .await
    }

    /// Waits until the last bit has left. Dropping the future leaves the bytes on their way.
    async fn flush(&mut self) -> Result<(), Infallible> {
        loop {
            let (waiting, character_us) = critical_section::with(|token| {
                let state = STATE.borrow_ref(token);
                (state.to_send.len() as u32 + (STATUS.read() >> 16 & 0xff), state.character_us)
            });
            // The FIFO tells nothing of the character that is being shifted out.
            Timer::after(Duration::from_micros((waiting + 1).saturating_mul(character_us).into())).await;
            if waiting == 0 {
                return Ok(());
            }
        }
    }
}
