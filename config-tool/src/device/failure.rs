//! Why business with a device failed, in words with the cure included.

use std::fmt;

use dunlin_config_format::message::{PROTOCOL_MAJOR, Refusal};

/// Why business with a device failed. Shown to people as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing answers on the line at all.
    NoAnswer,
    /// The device answered before, but does not answer any more.
    Silent,
    /// The device refuses.
    Refused {
        /// Why; none where this tool is too old to know the number.
        refusal: Option<Refusal>,
        /// The number that the device sent.
        number: u16,
        /// A number that belongs to the refusal.
        detail: Option<u32>,
    },
    /// The device's reply is not what the protocol says.
    Garbled,
    /// The device speaks another major version of the protocol.
    OtherProtocol {
        /// The version that it speaks.
        major: u8,
    },
    /// The board carries another device's configuration.
    OtherDevice {
        /// The device that runs there.
        found: String,
        /// The device that the image is for.
        wanted: String,
    },
    /// The firmware can't read images of this format.
    SchemaNotRead {
        /// The image's version.
        wanted: u16,
        /// The lowest and highest version that the firmware reads.
        reads: (u16, u16),
    },
    /// The firmware lacks a driver that the image needs.
    DriverMissing {
        /// The driver's name.
        driver: String,
    },
    /// The image is longer than a slot of the device.
    ImageTooLong {
        /// Length of the image in bytes.
        length: u32,
        /// The most that the device takes.
        limit: u32,
    },
    /// A request does not fit into a frame.
    RequestTooLong,
    /// The device restarted again and again during the transfer.
    RestartsAgain,
    /// The stored image changed while it was read.
    ImageChanged,
    /// The device does not know the image any more that it stored.
    Forgotten,
}

impl Failure {
    /// Returns the failure for an error reply.
    pub(super) fn refused(number: u16, detail: Option<u32>) -> Self {
        Failure::Refused { refusal: Refusal::from_number(number), number, detail }
    }

    /// Returns whether it is this refusal.
    pub fn is(&self, wanted: Refusal) -> bool {
        matches!(self, Failure::Refused { refusal: Some(refusal), .. } if *refusal == wanted)
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NoAnswer => f.write_str("the device does not answer: is Dunlin's firmware on the board?"),
            Failure::Silent => {
                f.write_str("the device has stopped answering; what it has stored is safe, try again when it is back")
            }
            Failure::Refused { refusal, number, detail } => refused(f, *refusal, *number, *detail),
            Failure::Garbled => {
                f.write_str("the device's reply is not understood: bring firmware and tool to one version")
            }
            Failure::OtherProtocol { major } => write!(
                f,
                "the device speaks version {major} of the protocol, this tool version {PROTOCOL_MAJOR}: bring firmware and tool to one version"
            ),
            Failure::OtherDevice { found, wanted } => write!(
                f,
                "the board runs device `{found}`, the file is for `{wanted}`: choose the other port, or add `--replace`"
            ),
            Failure::SchemaNotRead { wanted, reads: (low, high) } => write!(
                f,
                "the image has format {wanted}, the firmware reads {low} to {high}: bring firmware and tool to one version"
            ),
            Failure::DriverMissing { driver } => {
                write!(f, "the firmware has no driver `{driver}`: flash a firmware that has it, or leave the sensor out")
            }
            Failure::ImageTooLong { length, limit } => {
                write!(f, "the image has {length} bytes, the device takes {limit}: shorten the configuration")
            }
            Failure::RequestTooLong => f.write_str("a name or value is longer than a frame of 240 bytes: shorten it"),
            Failure::RestartsAgain => f.write_str(
                "the device restarts again and again during the transfer: check its supply and cable; what it had stored is safe",
            ),
            Failure::ImageChanged => f.write_str("the stored image changed while it was read: try again"),
            Failure::Forgotten => {
                f.write_str("the device does not know this image any more: it was erased or replaced meanwhile")
            }
        }
    }
}

fn refused(
    f: &mut fmt::Formatter<'_>,
    refusal: Option<Refusal>,
    number: u16,
    detail: Option<u32>,
) -> fmt::Result {
    let Some(refusal) = refusal else {
        return write!(
            f,
            "the device refuses with number {number}, which this tool does not know: use a newer `dunlin`"
        );
    };
    let text = match refusal {
        Refusal::UnknownKind => "the firmware is too old for this: flash a newer one",
        Refusal::Malformed => {
            "the device did not understand the request: bring firmware and tool to one version"
        }
        Refusal::NoTransfer => "the device has no transfer under way: push again",
        Refusal::HashMismatch => "what the device stored is not what was sent: push again",
        Refusal::Incomplete => "the device has not received the whole image: push again",
        Refusal::OtherDevice => {
            "the board carries another device's configuration: add `--replace` to replace it"
        }
        Refusal::ImageRefused => "the firmware can't use this image: bring firmware and tool to one version",
        Refusal::NoSuchSensor => "the device has no sensor of this name: `dunlin info` lists them",
        Refusal::PinsRefused => {
            "these pins can't carry a bus: use two different free GPIO numbers, such as 4 and 5"
        }
        Refusal::NothingToRollBack => "there is no earlier configuration to return to",
        Refusal::NothingStored => "nothing is stored on the device: push a configuration first",
        Refusal::NoSuchDriver => "the firmware does not have this driver: flash one that has",
        Refusal::ImageTooLong => "the image is longer than a slot: shorten the configuration",
        Refusal::SecretTooLong => "a secret is too long, or there are too many",
        Refusal::Busy => "the device is busy: try again in a second",
        Refusal::RateRefused => "the board's serial line can't run at this speed: use 115200",
        Refusal::FlashFault => {
            "the flash chip does not keep what is written: the board is worn or its supply weak"
        }
        Refusal::SensorFault => "the sensor or its bus did not answer: check wiring, address and supply",
        _ => return write!(f, "the device refuses with number {number}"),
    };
    f.write_str(text)?;
    match (refusal, detail) {
        (Refusal::FlashFault, Some(address)) => write!(f, " (at flash address {address:#x})"),
        (Refusal::ImageTooLong, Some(limit)) => write!(f, " (it takes {limit} bytes)"),
        _ => Ok(()),
    }
}
