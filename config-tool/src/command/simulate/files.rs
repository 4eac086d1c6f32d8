//! The files that a run writes: opened before it begins, written while it goes on. `-` is the standard output.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use dunlin_twin::world::trace::{LATE, plot};
use embassy_time::{Duration, Instant};

use super::super::{CommandError, Exit, STANDARD, not_written};
use super::Arguments;
use crate::interrupt;
use crate::simulate::Run;

/// How much of the run is kept in memory before it is written to a file.
const PERIOD: Duration = Duration::from_secs(600);
/// The same of the standard output, where somebody may wait for it.
const PERIOD_PIPED: Duration = Duration::from_secs(1);

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
    period: Duration,
    written_at: Instant,
}

impl RunFile {
    /// Opens a file. What it holds stays until something is written: a run that is refused destroys nothing.
    fn open(path: &Path) -> Result<Self, CommandError> {
        if path.as_os_str() == STANDARD {
            let output = io::stdout().as_fd().try_clone_to_owned();
            let file = output.map_err(|error| not_written(path, &error))?.into();
            // What `>>` adds to stays.
            return Ok(RunFile { file, path: PathBuf::from("the standard output"), is_begun: true });
        }
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
        match self.file.write_all(bytes) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => interrupt::end_unread(),
            result => result.map_err(|error| self.failed(&error)),
        }
    }

    fn failed(&self, error: &io::Error) -> String {
        format!("`{}` can't be written: {error}", self.path.display())
    }
}

/// Returns the options whose file is the standard output.
pub(super) fn piped(arguments: &Arguments) -> Vec<&'static str> {
    let options = [("--csv", &arguments.csv), ("--plot", &arguments.plot), ("--pcap", &arguments.pcap)];
    let is_standard = |path: &PathBuf| path.as_os_str() == STANDARD;
    let piped = options.into_iter().filter(|(_, path)| path.as_ref().is_some_and(is_standard));
    piped.map(|(option, _)| option).collect()
}

/// Checks which files are wanted.
///
/// # Errors
/// Two of them would be the standard output, or one and what people read there; or a plot is called something else.
pub(super) fn check(arguments: &Arguments) -> Result<(), CommandError> {
    let refused = |text: String| Err(CommandError::new(Exit::Usage, text));
    let others = [(arguments.json, "--json"), (arguments.plain, "--plain")];
    let other = others.into_iter().find_map(|(is_given, option)| is_given.then_some(option));
    if let (&[first], Some(second)) | (&[first, second, ..], _) = (piped(arguments).as_slice(), other) {
        return refused(format!(
            "{first} and {second} would both write to the standard output: give `{first}` a file's name"
        ));
    }
    let is_drawing = |path: &Path| {
        path.as_os_str() == STANDARD
            || path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("svg"))
    };
    match &arguments.plot {
        Some(path) if !is_drawing(path) => refused(format!(
            "`{}` would not be what it is called: a plot is SVG, which browsers show; write `--plot {}`",
            path.display(),
            path.with_extension("svg").display()
        )),
        _ => Ok(()),
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
            period: if arguments.is_piped() { PERIOD_PIPED } else { PERIOD },
            written_at: Instant::MIN,
        })
    }

    /// Writes what has come together, now and then.
    ///
    /// # Errors
    /// Which file can't be written.
    pub(super) fn follow(&mut self, run: &mut Run) -> Result<(), String> {
        let now = run.clock.now();
        if now.saturating_duration_since(self.written_at) < self.period {
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
