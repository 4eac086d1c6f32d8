//! A piece of business with the device: frames and time in, frames out.

use std::time::Duration;

use dunlin_config_format::cbor::Item;
use dunlin_config_format::frame::{Encoded, Frame, Received, Receiver};
use dunlin_config_format::message::{self, Message};

use super::Failure;

/// Time since any fixed moment; never goes back.
pub type Time = Duration;

/// A piece of business with the device that ends with an output or a failure.
pub trait Task {
    /// What it is for.
    type Output;

    /// Goes on: with a frame that has arrived, or because time has passed. Returns the end when there is one; after that the
    /// task is not stepped any more.
    fn step(
        &mut self,
        now: Time,
        frame: Option<&Frame<'_>>,
        outbox: &mut Outbox,
    ) -> Option<Result<Self::Output, Failure>>;

    /// Returns when to step it at the latest if no frame arrives.
    fn deadline(&self) -> Option<Time>;
}

/// Numbers requests and keeps them until they are written to the line.
#[derive(Debug, Default)]
pub struct Outbox {
    number: u8,
    bytes: Vec<u8>,
}

impl Outbox {
    /// Queues a request; returns its frame number.
    ///
    /// # Errors
    /// [`Failure::RequestTooLong`] where it does not fit into a frame, such as a secret of 300 characters.
    pub fn send<'b, M: Message + Item<'b>>(&mut self, request: &M) -> Result<u8, Failure> {
        let encoded =
            message::encode(request, self.number.wrapping_add(1)).map_err(|_| Failure::RequestTooLong)?;
        Ok(self.queue(&encoded))
    }

    /// Queues a control request whose payload is encoded already; returns its frame number.
    pub(super) fn send_payload(&mut self, kind: u8, payload: &[u8]) -> Result<u8, Failure> {
        let frame = Frame { channel: 0, kind, number: self.number.wrapping_add(1), payload };
        let encoded = Encoded::new(&frame).map_err(|_| Failure::RequestTooLong)?;
        Ok(self.queue(&encoded))
    }

    fn queue(&mut self, encoded: &Encoded) -> u8 {
        self.number = self.number.wrapping_add(1);
        self.bytes.extend_from_slice(encoded.as_bytes());
        self.number
    }

    /// Takes the bytes to write to the line.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

/// The host's end of a line: a receiver, an outbox, and one task at a time.
#[derive(Debug, Default)]
pub struct Station {
    receiver: Receiver,
    outbox: Outbox,
    /// Bytes that were no frame and are not yet taken: log lines, boot messages.
    text: Vec<u8>,
    /// Frames heard, and bytes that could have been one and were not.
    frames: u64,
    damaged: u64,
}

impl Station {
    /// Steps `task` because time has passed.
    pub fn tick<T: Task>(&mut self, now: Time, task: &mut T) -> Option<Result<T::Output, Failure>> {
        task.step(now, None, &mut self.outbox)
    }

    /// Steps `task` with every frame that `bytes` complete. Bytes after the one that ends the task are heard, but no task
    /// sees them.
    pub fn receive<T: Task>(
        &mut self,
        now: Time,
        bytes: &[u8],
        task: &mut T,
    ) -> Option<Result<T::Output, Failure>> {
        let mut end = None;
        for byte in bytes {
            match self.receiver.push(*byte) {
                Received::Nothing => {}
                Received::Text(text) => self.text.extend_from_slice(text),
                Received::Damaged(count) => self.damaged += count as u64,
                Received::Frame(frame) => {
                    self.frames += 1;
                    if end.is_none() {
                        end = task.step(now, Some(&frame), &mut self.outbox);
                    }
                }
            }
        }
        end
    }

    /// Takes the bytes to write to the line.
    pub fn take_bytes(&mut self) -> Vec<u8> {
        self.outbox.take()
    }

    /// Takes the text heard since the last call.
    pub fn take_text(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.text)
    }

    /// Returns how many whole frames were heard, and how many bytes of damaged ones.
    pub fn heard(&self) -> (u64, u64) {
        (self.frames, self.damaged)
    }
}
