//! `dunlin push`: brings a configuration to a board and waits for the verdict.

mod remarks;
mod show;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::{CommandError, DEFAULT_FILE, Exit, LineArguments, Outcome, folder};
use crate::device::{FAST_RATE, MonitorTask, Package, Progress, PushOptions, PushTask, Pushed};
use crate::interrupt::Interrupt;
use crate::line::{Connection, LineError, Target};
use crate::package;
use remarks::Remarks;
use show::Show;
pub(crate) use show::why;

/// How often a file that is watched is looked at.
pub(crate) const SAVE_PERIOD: Duration = Duration::from_millis(200);

/// Bring a configuration to a board and wait until it is confirmed or rolled back
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// File with the configuration
    #[arg(default_value = DEFAULT_FILE)]
    file: PathBuf,
    #[command(flatten)]
    line: LineArguments,
    /// Push again at every save, until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// Confirm without a broker, when the node has started (for the bench)
    #[arg(long)]
    confirm: bool,
    /// End when it is stored, without waiting for the verdict
    #[arg(long, conflicts_with = "watch")]
    no_wait: bool,
    /// Replace the configuration of a board that carries another device's
    #[arg(long)]
    replace: bool,
    /// JSON Lines instead of text
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let interrupt = Interrupt::watch().map_err(|error| CommandError::new(Exit::Device, error))?;
    let mut show = Show::new(arguments.json);
    let mut saved = modified(&arguments.file);
    let package = load(&arguments.file)?;
    show.file(&arguments.file, &package);
    let mut connection = arguments.line.connect(Some(&package.device))?;
    let mut exit = push(arguments, package, &mut connection, &mut show, &interrupt)?;
    while arguments.watch && !interrupt.is_set() {
        // The port stays open and goes on serving other commands.
        connection.run_watching(&mut MonitorTask::new(0), |_, _| {
            !interrupt.is_set() && modified(&arguments.file) == saved
        })?;
        if interrupt.is_set() {
            break;
        }
        // An editor may write a file in several steps.
        std::thread::sleep(SAVE_PERIOD);
        saved = modified(&arguments.file);
        let pushed = load(&arguments.file).and_then(|package| {
            show.file(&arguments.file, &package);
            push(arguments, package, &mut connection, &mut show, &interrupt)
        });
        // A mistake in the file, or a rollback, is told; the next save is another try.
        match pushed {
            Ok(pushed) => exit = pushed,
            Err(error) => eprintln!("error: {}", error.text),
        }
    }
    if connection.has_carried() {
        show.carried();
    }
    Ok(exit)
}

fn load(path: &Path) -> Result<Package, CommandError> {
    let package = package::load(path).map_err(|error| CommandError::new(Exit::Refused, error))?;
    package.warnings.iter().for_each(|warning| eprintln!("{warning}"));
    Ok(package)
}

/// Returns what tells one save of a file from the next.
pub(crate) fn modified(path: &Path) -> Option<(SystemTime, u64)> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.modified().ok()?, found.len()))
}

fn push(
    arguments: &Arguments,
    package: Package,
    connection: &mut Connection,
    show: &mut Show,
    interrupt: &Interrupt,
) -> Outcome {
    let options = PushOptions {
        confirm: arguments.confirm,
        replace: arguments.replace,
        no_wait: arguments.no_wait,
        rate: Some(FAST_RATE),
    };
    let mut task = PushTask::new(package.clone(), options)?;
    let mut known = Known::NotStored;
    let started = Instant::now();
    let ended = connection.run_watching(&mut task, |task, _| {
        while let Some(progress) = task.take_progress() {
            known = known.after(&progress);
            show.progress(&progress);
        }
        !interrupt.is_set()
    });
    show.end_line();
    let ended = ended.map_err(|error| match error {
        LineError::Broken(_) => {
            CommandError::new(Exit::Device, format!("{error}; {}", known.words(connection.target())))
        }
        error => error.into(),
    })?;
    let Some(pushed) = ended else {
        show.interrupted(known == Known::Stored);
        return Ok(Exit::Device);
    };
    let took = started.elapsed();
    folder::remember_port(&package.device, &connection.target().to_string());
    show.pushed(&pushed, took, &Remarks::on(&pushed, &package, connection));
    Ok(match pushed {
        Pushed::Unchanged | Pushed::Confirmed | Pushed::Stored => Exit::Done,
        Pushed::Rejected { .. } | Pushed::OnTrial { .. } => Exit::Device,
    })
}

/// What is known of an image while it is pushed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    NotStored,
    /// Every byte has arrived.
    Arrived,
    Stored,
}

impl Known {
    fn after(self, progress: &Progress) -> Self {
        match progress {
            Progress::Stored { .. } | Progress::Trial(_) => Known::Stored,
            Progress::Sending { sent, length } if sent == length => Known::Arrived,
            _ => self,
        }
    }

    /// What became of a push whose line broke.
    fn words(self, target: &Target) -> &'static str {
        match (self, *target == Target::Simulation) {
            (Known::NotStored, true) => "the image was not stored",
            (Known::Arrived, true) => "the image had arrived, and may not have been stored",
            (Known::Stored, true) => "the image was stored, its trial had not ended",
            (Known::NotStored, false) => "not stored: the board keeps the configuration that it has",
            (Known::Arrived, false) => "the image had arrived: `dunlin info` tells whether it was stored",
            (Known::Stored, false) => {
                "the image is stored, and the board goes on alone: `dunlin info` tells how the trial ended"
            }
        }
    }
}
