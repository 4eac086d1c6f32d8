//! Why business over a line failed, and what was heard meanwhile.

use std::fmt;

use super::port::OpenError;
use crate::device::Failure;

/// Why business over a line failed.
#[derive(Debug)]
pub enum LineError {
    /// The line can't be opened.
    Open(OpenError),
    /// The line broke: the cable is out, or the command that held the port has ended.
    Broken(String),
    /// The device refuses, or does not answer.
    Device(Failure, Heard),
}

/// What was heard while no device answered: the difference between a dead cable and other firmware.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Bytes of any kind.
    pub bytes: u64,
    /// How many of them are not text.
    pub binary: u64,
    /// Whole frames.
    pub frames: u64,
}

impl std::error::Error for LineError {}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LineError::Open(error) => error.fmt(f),
            LineError::Broken(error) => write!(f, "the line is broken: {error}"),
            LineError::Device(Failure::NoAnswer, heard) if heard.frames == 0 => no_answer(f, heard),
            LineError::Device(failure, _) => failure.fmt(f),
        }
    }
}

fn no_answer(f: &mut fmt::Formatter<'_>, heard: &Heard) -> fmt::Result {
    f.write_str("the device does not answer; ")?;
    if heard.bytes == 0 {
        f.write_str(
            "nothing at all was heard: check cable (a charging cable has no data lines), port and supply",
        )
    } else if heard.binary * 4 > heard.bytes {
        write!(
            f,
            "{} bytes of rubbish were heard: the boot ROM prints at 74,880 baud and looks like this at 115,200, so the board may \
             be restarting again and again, or run firmware of another speed",
            heard.bytes
        )
    } else {
        write!(
            f,
            "{} bytes of text were heard: the board runs other firmware; `dunlin flash` puts Dunlin's on it",
            heard.bytes
        )
    }
}
