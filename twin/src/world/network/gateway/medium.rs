//! The gateway's line as the network stack wants it: at most one frame to receive, and room to send.

use embassy_time::Instant;
use smoltcp::phy::{self, Device, DeviceCapabilities};

use super::FrameLine;
use crate::world::network::FRAME_SIZE;

/// Converts the world's time to the network stack's.
pub(super) fn to_smoltcp(at: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(i64::try_from(at.as_micros()).unwrap_or(i64::MAX))
}

/// One moment on a line.
pub(super) struct Medium<'a, L: FrameLine> {
    /// The frame that has arrived and is not yet received.
    pub(super) frame: Option<&'a [u8]>,
    pub(super) line: &'a mut L,
    /// Where a frame is made.
    pub(super) sent: &'a mut Vec<u8>,
    pub(super) now: Instant,
}

impl<L: FrameLine> Device for Medium<'_, L> {
    type RxToken<'t>
        = ReceivedFrame<'t>
    where
        Self: 't;
    type TxToken<'t>
        = FrameToSend<'t, L>
    where
        Self: 't;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(ReceivedFrame<'_>, FrameToSend<'_, L>)> {
        let frame = self.frame.take()?;
        let to_send = FrameToSend { line: self.line, sent: self.sent, now: self.now };
        Some((ReceivedFrame(frame), to_send))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<FrameToSend<'_, L>> {
        Some(FrameToSend { line: self.line, sent: self.sent, now: self.now })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.max_transmission_unit = FRAME_SIZE;
        capabilities
    }
}

pub(super) struct ReceivedFrame<'t>(&'t [u8]);

impl phy::RxToken for ReceivedFrame<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

pub(super) struct FrameToSend<'t, L: FrameLine> {
    line: &'t mut L,
    sent: &'t mut Vec<u8>,
    now: Instant,
}

impl<L: FrameLine> phy::TxToken for FrameToSend<'_, L> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        self.sent.clear();
        self.sent.resize(len, 0);
        let result = f(self.sent);
        self.line.send(self.now, self.sent);
        result
    }
}
