//! Why a request is refused.

use super::{Message, kind};
use crate::cbor;

/// Why the device refuses a request. The numbers cross the link: append only, never reuse.
///
/// Grouped by who must act: 1–15 the peer (a fault of the host tool or of the line), 16–31 the operator, 32–47 capacity,
/// 48–63 hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The device does not know this kind of request.
    UnknownKind = 1,
    /// The payload is not the message that its kind says.
    Malformed = 2,
    /// No transfer is under way: DATA or END without BEGIN, or the device has restarted since.
    NoTransfer = 3,
    /// The image that was stored has another length or hash than BEGIN announced, or its bytes are not what its header says.
    HashMismatch = 4,
    /// END before every byte has arrived; the detail is the offset expected next.
    Incomplete = 5,
    /// The image belongs to a device of another name and BEGIN did not ask to replace it.
    OtherDevice = 16,
    /// The image's header is not one that this firmware can read.
    ImageRefused = 17,
    /// The running configuration has no sensor of this name.
    NoSuchSensor = 18,
    /// These pins can't be used: not two different GPIO numbers free for a bus.
    PinsRefused = 19,
    /// There is no earlier configuration to return to.
    NothingToRollBack = 20,
    /// No configuration is stored.
    NothingStored = 21,
    /// The driver is not compiled into this firmware.
    NoSuchDriver = 22,
    /// The image is longer than a slot; the detail is the slot's capacity in bytes.
    ImageTooLong = 32,
    /// The secret's name or value is too long, or there are too many.
    SecretTooLong = 33,
    /// The device is at something that can't be interrupted; ask again in a second.
    Busy = 34,
    /// The board's serial line can't run at this speed.
    RateRefused = 35,
    /// An erased sector is not blank or a programmed page reads back otherwise; the detail is the flash address.
    FlashFault = 48,
    /// The sensor or its bus did not answer.
    SensorFault = 49,
}

impl Refusal {
    /// Every refusal, in the order of its number.
    pub const ALL: &'static [Refusal] = &[
        Refusal::UnknownKind,
        Refusal::Malformed,
        Refusal::NoTransfer,
        Refusal::HashMismatch,
        Refusal::Incomplete,
        Refusal::OtherDevice,
        Refusal::ImageRefused,
        Refusal::NoSuchSensor,
        Refusal::PinsRefused,
        Refusal::NothingToRollBack,
        Refusal::NothingStored,
        Refusal::NoSuchDriver,
        Refusal::ImageTooLong,
        Refusal::SecretTooLong,
        Refusal::Busy,
        Refusal::RateRefused,
        Refusal::FlashFault,
        Refusal::SensorFault,
    ];

    /// Returns the number that crosses the link.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// Returns the refusal with this number; none where a newer device uses a number that this side does not know.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|refusal| refusal.number() == number)
    }
}

/// ERROR: the device refuses the request whose frame number this reply repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorReply<'b> {
    /// The refusal's number; see [`Refusal::from_number`].
    pub refusal: u16,
    /// The kind of the request that is refused.
    pub request: u8,
    /// A number that belongs to the refusal, such as an offset.
    pub detail: Option<u32>,
    /// The name of what was not found or not understood.
    pub name: Option<&'b str>,
}

cbor::map!(ErrorReply<'b> { 0 refusal, 1 request, 2 detail: optional, 3 name: optional });

impl Message for ErrorReply<'_> {
    const KIND: u8 = kind::ERROR;
}
