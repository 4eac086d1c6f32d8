//! Who is there: both parts of HELLO's reply, as one owned value.

use dunlin_config_format::frame::Frame;
use dunlin_config_format::message::{
    self, HASH_SIZE, HelloBoard, HelloConfiguration, HelloRequest, PROTOCOL_MAJOR, PROTOCOL_MINOR,
};

use super::exchange::Answer;
use super::{Exchange, Failure, Outbox, Patience, Task, Time};

/// What a device tells of itself. Holding one proves that it speaks this protocol's major version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Random at every start of the device.
    pub boot_id: u32,
    /// Minor version of its protocol.
    pub minor: u8,
    /// Version of its firmware.
    pub firmware: String,
    /// Identifier of the chip.
    pub chip_id: u32,
    /// Lowest and highest version of the configuration format that it reads.
    pub schema: (u16, u16),
    /// Numbers of its drivers.
    pub drivers: Vec<u8>,
    /// The longest image that it takes, in bytes.
    pub image_limit: u32,
    /// The most sensors and the most reports of a configuration.
    pub limits: (u16, u16),
    /// State of the running configuration; see [`state`](message::state).
    pub state: u8,
    /// Generation of the running configuration.
    pub generation: Option<u32>,
    /// Hash of the running configuration.
    pub active_hash: Option<[u8; HASH_SIZE]>,
    /// Hash of the newest stored configuration, whether it runs or was given up.
    pub stored_hash: Option<[u8; HASH_SIZE]>,
    /// Name of the device that it is.
    pub device: Option<String>,
    /// Code of the reason why a configuration was given up last, and its generation.
    pub rollback: Option<(u16, Option<u32>)>,
}

impl Hello {
    /// Returns the chip's identifier as it is told everywhere.
    pub fn chip(&self) -> String {
        format!("{:08x}", self.chip_id)
    }
}

/// Asks who is there.
#[derive(Debug)]
pub struct HelloTask {
    exchange: Exchange,
    board: Option<Vec<u8>>,
    configuration: Option<Vec<u8>>,
}

impl HelloTask {
    /// Prepares the question.
    ///
    /// # Errors
    /// None in practice: the request is of fixed size.
    pub fn new() -> Result<Self, Failure> {
        Self::with(Patience::START)
    }

    pub(super) fn with(patience: Patience) -> Result<Self, Failure> {
        let request = HelloRequest { major: PROTOCOL_MAJOR, minor: PROTOCOL_MINOR };
        Ok(HelloTask { exchange: Exchange::new(&request, patience)?, board: None, configuration: None })
    }

    fn take(&mut self, payload: Vec<u8>) -> Option<Result<Hello, Failure>> {
        if let Ok(board) = message::decode::<HelloBoard<'_>>(&payload) {
            if board.major != PROTOCOL_MAJOR {
                return Some(Err(Failure::OtherProtocol { major: board.major }));
            }
            self.board = Some(payload);
        } else if message::decode::<HelloConfiguration<'_>>(&payload).is_ok_and(|part| part.part == 1) {
            self.configuration = Some(payload);
        }
        let board = message::decode(self.board.as_deref()?).ok()?;
        let configuration = message::decode(self.configuration.as_deref()?).ok()?;
        join(&board, &configuration).map(Ok)
    }
}

/// Joins both parts if they are of one start of the device.
fn join(board: &HelloBoard<'_>, configuration: &HelloConfiguration<'_>) -> Option<Hello> {
    (board.boot_id == configuration.boot_id).then(|| Hello {
        boot_id: board.boot_id,
        minor: board.minor,
        firmware: board.firmware.to_owned(),
        chip_id: board.chip_id,
        schema: (board.schema_low, board.schema_high),
        drivers: board.drivers.to_vec(),
        image_limit: board.image_limit,
        limits: (board.sensor_limit, board.report_limit),
        state: configuration.state,
        generation: configuration.generation,
        active_hash: configuration.active_hash,
        stored_hash: configuration.stored_hash,
        device: configuration.device.map(str::to_owned),
        rollback: configuration.rollback_reason.map(|code| (code, configuration.rollback_generation)),
    })
}

impl Task for HelloTask {
    type Output = Hello;

    fn step(
        &mut self,
        now: Time,
        frame: Option<&Frame<'_>>,
        outbox: &mut Outbox,
    ) -> Option<Result<Hello, Failure>> {
        match self.exchange.step(now, frame, outbox) {
            Answer::Waiting => None,
            Answer::Reply(payload) => self.take(payload),
            Answer::Failed(failure) => Some(Err(failure)),
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.exchange.deadline()
    }
}
