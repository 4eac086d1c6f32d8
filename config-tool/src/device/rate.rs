//! Makes the line faster where the board and everything between can do it, and leaves it as it was where not.

use std::time::Duration;

use dunlin_config_format::frame::Frame;
use dunlin_config_format::message::RateRequest;

use super::exchange::Answer;
use super::{Exchange, Failure, HelloTask, Outbox, Patience, Task, Time};

/// The line's speed at every start of a board, in bits per second.
pub const USUAL_RATE: u32 = 115_200;

/// The speed that is asked for: every USB adapter of the last twenty years has it, and the board's receive FIFO holds 2.8 ms
/// of it, more than a page of flash takes to be programmed.
pub const FAST_RATE: u32 = 460_800;

/// For the first words at a new speed: asked again and again until both ends must have gone back to the usual one, the port's
/// holder after three seconds and the device a second after that.
const PROOF: Patience = Patience { timeout: Duration::from_millis(60), tries: 120 };

/// Asks for another speed and waits until the device is heard again, at whatever speed that is.
///
/// Whoever holds the port changes its speed with the reply ([`Hub`](super::Hub)). A device or a line that refuses is no failure.
#[derive(Debug)]
pub struct RateTask(State);

#[derive(Debug)]
enum State {
    Asking(Exchange),
    Proving(HelloTask),
}

impl RateTask {
    /// Prepares to ask for `baud` bits per second.
    ///
    /// # Errors
    /// None in practice: the request is of fixed size.
    pub fn new(baud: u32) -> Result<Self, Failure> {
        Ok(RateTask(State::Asking(Exchange::new(&RateRequest { baud }, Patience::QUICK)?)))
    }
}

impl Task for RateTask {
    type Output = ();

    fn step(
        &mut self,
        now: Time,
        frame: Option<&Frame<'_>>,
        outbox: &mut Outbox,
    ) -> Option<Result<(), Failure>> {
        if let State::Asking(exchange) = &mut self.0 {
            match exchange.step(now, frame, outbox) {
                Answer::Waiting => return None,
                Answer::Failed(Failure::NoAnswer) => return Some(Err(Failure::NoAnswer)),
                Answer::Failed(_) => return Some(Ok(())),
                Answer::Reply(_) => {}
            }
            self.0 = State::Proving(match HelloTask::with(PROOF) {
                Ok(hello) => hello,
                Err(failure) => return Some(Err(failure)),
            });
            return self.step(now, None, outbox);
        }
        let State::Proving(hello) = &mut self.0 else { return None };
        hello.step(now, frame, outbox).map(|end| end.map(|_| ()))
    }

    fn deadline(&self) -> Option<Time> {
        match &self.0 {
            State::Asking(exchange) => exchange.deadline(),
            State::Proving(hello) => hello.deadline(),
        }
    }
}
