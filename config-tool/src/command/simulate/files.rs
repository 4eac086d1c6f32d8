//! The files that a run writes: opened before it begins, written while it goes on.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use dunlin_twin::world::trace::{LATE, plot};
use embassy_time::{Duration, Instant};

use super::super::{CommandError, not_written};
use super::Arguments;
use crate::simulate::Run;

/// How much of the run is kept in memory before it is written.
const PERIOD: Duration = Duration::from_secs(600);

/// A file of a run.
struct RunFile {
    file: File,
    path: PathBuf,
    is_begun: bool,
}

/// What a run writes.
pub(super) struct Files {
    csv: Option<RunFile>,
    pcap: Option<RunFile>,
    plot: Option<RunFile>,
    /// What the plot shows.
    title: String,
    written_at: Instant,
}

impl RunFile {
    /// Opens a file. What it holds stays until something is written: a run that is refused destroys nothing.
    fn open(path: &Path) -> Result<Self, CommandError> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|error| not_written(path, &error))?;
        Ok(RunFile { file, path: path.to_owned(), is_begun: false })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        // A pipe or a terminal has no length.
        if !self.is_begun && self.file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            self.file.set_len(0).map_err(|error| self.failed(&error))?;
        }
        self.is_begun = true;
        self.file.write_all(bytes).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &std::io::Error) -> String {
        format!("`{}` can't be written: {error}", self.path.display())
    }
}

impl Files {
    /// Opens every file that is asked for.
    ///
    /// # Errors
    /// The first that can't be opened.
    pub(super) fn open(arguments: &Arguments) -> Result<Self, CommandError> {
        let open = |path: &Option<PathBuf>| path.as_deref().map(RunFile::open).transpose();
        Ok(Files {
            csv: open(&arguments.csv)?,
            pcap: open(&arguments.pcap)?,
            plot: open(&arguments.plot)?,
            title: match &arguments.file {
                Some(file) => format!("dunlin simulate {}", file.display()),
                None => "dunlin simulate".to_owned(),
            },
            written_at: Instant::MIN,
        })
    }

    /// Writes what has come together, now and then.
    ///
    /// # Errors
    /// Which file can't be written.
    pub(super) fn follow(&mut self, run: &mut Run) -> Result<(), String> {
        let now = run.clock.now();
        if now.saturating_duration_since(self.written_at) < PERIOD {
            return Ok(());
        }
        self.write(run, Instant::from_ticks(now.as_ticks().saturating_sub(LATE.as_ticks())))
    }

    /// Writes what is left, and the plot.
    ///
    /// # Errors
    /// Which file can't be written.
    pub(super) fn finish(&mut self, run: &mut Run) -> Result<(), String> {
        self.write(run, Instant::MAX)?;
        let title = &self.title;
        match &mut self.plot {
            Some(file) => file.write(plot(&run.story.borrow().trace, title).as_bytes()),
            None => Ok(()),
        }
    }

    fn write(&mut self, run: &mut Run, until: Instant) -> Result<(), String> {
        self.written_at = run.clock.now();
        if let Some(file) = &mut self.csv {
            file.write(&run.story.borrow_mut().trace.take_csv(until))?;
        }
        if let Some(file) = &mut self.pcap {
            file.write(&run.simulation.take_capture())?;
        }
        Ok(())
    }
}
