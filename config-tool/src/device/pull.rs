//! Reads the image of the running configuration.

use dunlin_config_format::frame::Frame;
use dunlin_config_format::message::{self, PullReply, PullRequest};

use super::exchange::Answer;
use super::{Exchange, Failure, Outbox, Patience, Task, Time};

/// An image as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PulledImage {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The first eight bytes of its hash, as the device told.
    pub hash_prefix: [u8; 8],
}

/// Reads the image piece by piece.
#[derive(Debug)]
pub struct PullTask {
    exchange: Exchange,
    bytes: Vec<u8>,
    of: Option<(u32, [u8; 8])>,
}

impl PullTask {
    /// Prepares to read from the beginning.
    ///
    /// # Errors
    /// None in practice: the request is of fixed size.
    pub fn new() -> Result<Self, Failure> {
        Ok(PullTask { exchange: ask(0)?, bytes: Vec::new(), of: None })
    }

    fn take(&mut self, payload: &[u8]) -> Result<Option<PulledImage>, Failure> {
        let piece: PullReply<'_> = message::decode(payload).map_err(|_| Failure::Garbled)?;
        let of = (piece.length, piece.hash_prefix);
        if *self.of.get_or_insert(of) != of {
            return Err(Failure::ImageChanged);
        }
        if piece.offset as usize != self.bytes.len() {
            return Ok(None);
        }
        self.bytes.extend_from_slice(piece.bytes);
        let length = piece.length as usize;
        if self.bytes.len() > length || piece.bytes.is_empty() && self.bytes.len() < length {
            return Err(Failure::Garbled);
        }
        if self.bytes.len() == length {
            return Ok(Some(PulledImage {
                bytes: std::mem::take(&mut self.bytes),
                hash_prefix: piece.hash_prefix,
            }));
        }
        self.exchange = ask(self.bytes.len())?;
        Ok(None)
    }
}

fn ask(offset: usize) -> Result<Exchange, Failure> {
    let offset = u32::try_from(offset).map_err(|_| Failure::Garbled)?;
    Exchange::new(&PullRequest { offset }, Patience::QUICK)
}

impl Task for PullTask {
    type Output = PulledImage;

    fn step(
        &mut self,
        now: Time,
        frame: Option<&Frame<'_>>,
        outbox: &mut Outbox,
    ) -> Option<Result<PulledImage, Failure>> {
        match self.exchange.step(now, frame, outbox) {
            Answer::Waiting => None,
            Answer::Failed(failure) => Some(Err(failure)),
            Answer::Reply(payload) => match self.take(&payload) {
                Ok(None) => {
                    // The next piece is asked for at once, not at the next tick.
                    match self.exchange.step(now, None, outbox) {
                        Answer::Failed(failure) => Some(Err(failure)),
                        _ => None,
                    }
                }
                Ok(Some(image)) => Some(Ok(image)),
                Err(failure) => Some(Err(failure)),
            },
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.exchange.deadline()
    }
}
