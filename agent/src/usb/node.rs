//! What the server asks of the rest of the agent.

use core::future::Future;

use dunlin_config_format::message::{
    BeginRequest, EndRequest, HealthEvent, HelloBoard, HelloConfiguration, LogEvent, ReadItem, ReadRequest,
    ReadingEvent, Refusal, SentEvent, Value, VerdictReply, VerdictRequest,
};

/// Why a request is refused, as it is told to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The refusal.
    pub refusal: Refusal,
    /// A number that belongs to it; see [`Refusal`].
    pub detail: Option<u32>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Refused { refusal, detail: None }
    }
}

/// How a transfer began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// The inactive slot is erased and verified; pages may be written.
    Ready,
    /// This image is running and confirmed; nothing was erased.
    Unchanged,
}

/// A piece of the stored image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// Bytes copied into the buffer; 0 at the end of the image and past it.
    pub len: usize,
    /// Length of the whole image in bytes.
    pub length: u32,
    /// The first eight bytes of its hash.
    pub hash_prefix: [u8; 8],
}

/// What a probe of a bus found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// See [`bus`](dunlin_config_format::message::bus).
    pub bus: u8,
    /// Addresses that answered, 0x08 to 0x77, ascending.
    pub addresses: heapless::Vec<u8, 112>,
}

/// What a node tells unasked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event<'a> {
    /// A reading passed its filters. Sent while a monitor wants readings.
    Reading(ReadingEvent<'a>),
    /// A sensor's health changed. Sent while a monitor wants health.
    Health(HealthEvent<'a>),
    /// A message went out. Sent while a monitor wants messages.
    Sent(SentEvent<'a>),
    /// A line of text of at most 200 bytes. Sent as a frame while a monitor wants the log, else printed.
    Log(LogEvent<'a>),
}

/// The rest of the agent, as the server sees it.
///
/// # For implementers
/// Futures end in bounded time. One that blocks for a flash operation awaits between two of them, so that the sampler keeps
/// its schedule. The host is silent until the reply, so that nothing is lost while the processor is stalled.
pub trait Node {
    /// Something that happened, as it waits to be told.
    type Event;

    /// Returns what HELLO tells of the board. Part and protocol version are filled in by the server.
    fn board(&self) -> HelloBoard<'_>;

    /// Tells what HELLO tells of the stored and the running configuration. Part and boot id are filled in by the server.
    fn configuration<R>(&mut self, tell: impl FnOnce(HelloConfiguration<'_>) -> R) -> R;

    /// Returns what became of an image.
    fn verdict(&self, request: &VerdictRequest) -> VerdictReply;

    /// Erases and verifies the inactive slot for an image, unless the same is running and confirmed and the flags do not ask
    /// to store it again. Refuses an image of another device's name unless the flags ask to replace it.
    fn begin(&mut self, request: &BeginRequest<'_>) -> impl Future<Output = Result<Begun, Refused>>;

    /// Programs a page of the image and reads it back. Pages come in order, without gaps, each once, after
    /// [`begin`](Node::begin) returned [`Begun::Ready`]; `offset` is a multiple of [`PAGE_SIZE`](super::PAGE_SIZE), `page` is
    /// of that size or, at the image's end, shorter. Blocks for about 1 ms.
    ///
    /// # Errors
    /// [`Refusal::FlashFault`] ends the transfer.
    fn write_page(&mut self, offset: u32, page: &[u8]) -> Result<(), Refused>;

    /// Checks the image against its hash and its schema, and makes it the newest stored one; returns its generation. Does
    /// not start it.
    fn finish(&mut self, request: &EndRequest, flags: u8) -> impl Future<Output = Result<u32, Refused>>;

    /// Starts the newest stored configuration, soon after this returns.
    fn start(&mut self);

    /// Stores a secret for the configuration that is stored next; returns whether the running one uses this value already,
    /// in which case nothing is written.
    fn secret(&mut self, name: &str, value: &[u8]) -> impl Future<Output = Result<bool, Refused>>;

    /// Copies a piece of the running configuration's image into `buffer`.
    ///
    /// # Errors
    /// [`Refusal::NothingStored`] where none runs.
    fn pull(&mut self, offset: u32, buffer: &mut [u8]) -> Result<Pulled, Refused>;

    /// Returns how many facts INFO tells.
    fn info_count(&self) -> u16;

    /// Tells the name and the value of a fact, `index` below [`info_count`](Node::info_count). Name and text together have
    /// at most 200 bytes.
    fn info<R>(&self, index: u16, tell: impl FnOnce(&str, Value<'_>) -> R) -> R;

    /// Measures afresh and keeps the result for [`read_item`](Node::read_item); returns how many items there are.
    fn read(&mut self, request: &ReadRequest<'_>) -> impl Future<Output = Result<u8, Refused>>;

    /// Returns an item of the last measurement. Index and count are filled in by the server.
    fn read_item(&self, index: u8) -> Option<ReadItem<'_>>;

    /// Tries every address on a bus.
    fn probe(&mut self, sda: u8, scl: u8) -> impl Future<Output = Result<Probed, Refused>>;

    /// Chooses which events are told; see [`monitor`](dunlin_config_format::message::monitor). Log events come always.
    fn monitor(&mut self, what: u8);

    /// Leaves the running generation for the confirmed one before it, soon after this returns; returns that one's number.
    ///
    /// # Errors
    /// [`Refusal::NothingToRollBack`] where there is none.
    fn rollback(&mut self) -> impl Future<Output = Result<u32, Refused>>;

    /// Erases what [`what`](dunlin_config_format::message::what) names and verifies it.
    fn erase(&mut self, what: u8) -> impl Future<Output = Result<(), Refused>>;

    /// Restarts the board, soon after this returns.
    fn restart(&mut self);

    /// Returns whether the board's serial line can run at `baud` bits per second.
    fn accepts_rate(&self, baud: u32) -> bool;

    /// Sets the speed of the serial line. Every byte written before has left.
    fn set_rate(&mut self, baud: u32);

    /// Waits for the next event.
    ///
    /// # Cancellation Safety
    /// Dropping the future before it is ready loses no event.
    fn event(&mut self) -> impl Future<Output = Self::Event>;

    /// Puts an event into words and tells it.
    fn put_into_words<R>(&self, event: Self::Event, tell: impl FnOnce(Event<'_>) -> R) -> R;
}
