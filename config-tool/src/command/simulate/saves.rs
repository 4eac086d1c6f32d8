//! `--watch`: every save of the file is pushed to the simulated board, over its line like any other push.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use crate::command::push::{SAVE_PERIOD, modified, why};
use crate::device::{Progress, PushOptions, PushTask, Pushed};
use crate::line::{Connection, Target};
use crate::package;

/// Watches a file for the rest of the process; what happens with each save comes out as lines for people.
pub(super) fn watch(file: PathBuf) -> Receiver<String> {
    let (told, lines) = channel();
    thread::spawn(move || {
        let mut saved = modified(&file);
        loop {
            thread::sleep(SAVE_PERIOD);
            let now = modified(&file);
            if now.is_none() || now == saved {
                continue;
            }
            // An editor may write a file in several steps.
            thread::sleep(SAVE_PERIOD);
            saved = modified(&file);
            let end = push(&file, &told).unwrap_or_else(|error| error);
            if told.send(format!("{}: {end}", file.display())).is_err() {
                return;
            }
        }
    });
    lines
}

/// Pushes the file; returns how that ended.
fn push(file: &std::path::Path, told: &Sender<String>) -> Result<String, String> {
    let (package, _) = package::load_for_simulation(file).map_err(|error| error.to_string())?;
    let mut connection = Connection::open(Target::Simulation).map_err(|error| error.to_string())?;
    // It is one board at one desk: a name that changes is meant.
    let options = PushOptions { replace: true, ..PushOptions::default() };
    let mut task = PushTask::new(package, options).map_err(|error| error.to_string())?;
    let pushed = connection
        .run_watching(&mut task, |task, _| {
            while let Some(progress) = task.take_progress() {
                if let Progress::Stored { generation } = progress {
                    let _ = told.send(format!("{}: stored as generation {generation}", file.display()));
                }
            }
            true
        })
        .map_err(|error| error.to_string())?;
    Ok(match pushed {
        None | Some(Pushed::Stored) => "stored".to_owned(),
        Some(Pushed::Unchanged) => "unchanged".to_owned(),
        Some(Pushed::Confirmed) => "confirmed".to_owned(),
        Some(Pushed::Rejected { reason }) => {
            format!("rolled back: {}; the configuration before it runs again", why(reason))
        }
        Some(Pushed::OnTrial { reason }) => format!("still on trial: {}", why(reason)),
    })
}
