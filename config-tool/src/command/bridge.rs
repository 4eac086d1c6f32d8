//! `dunlin bridge`: carries the network of a board over its cable, and does nothing else.

use super::{CommandError, Exit, LineArguments, Outcome};
use crate::device::{FAST_RATE, MonitorTask, NodeEvent, RateTask};
use crate::interrupt::Interrupt;
use crate::line::Target;

/// Carry the network of a board over its cable, until Ctrl-C; every command does it while it holds the port
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    line: LineArguments,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let interrupt = Interrupt::watch().map_err(|error| CommandError::new(Exit::Device, error))?;
    let (mut connection, hello) = arguments.line.meet(None)?;
    let name = hello.device.clone().unwrap_or_else(|| hello.chip());
    if *connection.target() == Target::Simulation {
        println!("the simulation carries the network of {name} itself: there is nothing to do");
        return Ok(Exit::Done);
    }
    if connection.is_guest() {
        println!(
            "another command holds {} and carries the network; this goes on when it ends",
            connection.target()
        );
    }
    println!("carrying the network of {name} on {}; Ctrl-C ends", connection.target());
    // A packet of 576 bytes takes 53 ms at the usual speed.
    connection.run(&mut RateTask::new(FAST_RATE)?)?;
    // Listening to nothing still notices a board that is gone.
    connection.run_watching(&mut MonitorTask::new(0), |task, _| {
        while let Some(event) = task.take_event() {
            if let NodeEvent::Answers(answers) = event {
                println!("the board {}", if answers { "answers again" } else { "does not answer any more" });
            }
        }
        !interrupt.is_set()
    })?;
    println!("readings stop here: nothing carries the board's network any more");
    Ok(Exit::Done)
}
