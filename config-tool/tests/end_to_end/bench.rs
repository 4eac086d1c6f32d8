//! A simulation of a test's own, and the commands that are run beside it.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use crate::mosquitto::repository;

/// A folder and a simulation of a test's own, which answers to the name `sim` in that folder.
pub(crate) struct Bench {
    pub(crate) folder: PathBuf,
    simulation: Option<Child>,
}

impl Bench {
    pub(crate) fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("dunlin-bench-{name}-{}", std::process::id()));
        fs::create_dir_all(folder.join("runtime")).unwrap();
        Bench { folder, simulation: None }
    }

    pub(crate) fn dunlin(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dunlin"));
        command.args(arguments).current_dir(&self.folder).env("XDG_RUNTIME_DIR", self.folder.join("runtime"));
        command.env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    pub(crate) fn simulate(&mut self, arguments: &[&str]) {
        let mut command = self.dunlin(&[&["simulate"], arguments].concat());
        // The same cases on the shipping image: `cargo xtask test` runs them with the one that it has built.
        if let Some(image) = std::env::var_os("DUNLIN_FIRMWARE") {
            command.arg("--firmware").arg(image);
        }
        let log =
            fs::OpenOptions::new().create(true).append(true).open(self.folder.join("simulate.log")).unwrap();
        self.simulation = Some(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    }

    /// Starts another command that stays until [`Bench::kill`].
    pub(crate) fn stay(&mut self, arguments: &[&str]) {
        let log = fs::File::create(self.folder.join("stay.log")).unwrap();
        let mut command = self.dunlin(arguments);
        self.simulation = Some(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("simulate.log")).unwrap_or_default()
    }

    /// Runs another command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.dunlin(arguments).output().unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.join(name), text).unwrap();
    }

    /// Ends the command that stays with Ctrl-C, and returns what it said.
    pub(crate) fn interrupt(&mut self) -> String {
        let mut child = self.simulation.take().unwrap();
        interrupt(&child);
        child.wait().unwrap();
        fs::read_to_string(self.folder.join("stay.log")).unwrap()
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.simulation.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

pub(crate) fn tutorial() -> String {
    fs::read_to_string(repository("examples/configs/tutorial.toml")).unwrap()
}

/// Presses Ctrl-C.
pub(crate) fn interrupt(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

/// Takes `["lux-1", N, L]` apart.
pub(crate) fn event(line: &str) -> Option<(u64, f64)> {
    let (second, lux) = line.strip_prefix("[\"lux-1\", ")?.strip_suffix(']')?.split_once(", ")?;
    Some((second.parse().ok()?, lux.parse().ok()?))
}

pub(crate) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
