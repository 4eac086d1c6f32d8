//! Programs from PyPI, in virtual environments of the target folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// One thread at a time makes an environment.
static TURN: Mutex<()> = Mutex::new(());

/// Returns the folder `bin` of a virtual environment with `packages`, each `name==version` or an option of pip's;
/// makes it unless it is there.
///
/// Needs `python3` with `venv`, and PyPI once.
pub fn virtual_environment(packages: &[&str]) -> PathBuf {
    let _turn = TURN.lock().unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(packages[0].replace("==", "-"));
    let done = folder.join("complete");
    if !done.exists() {
        run(
            Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder),
            "apt-get install python3-venv",
        );
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        run(Command::new(folder.join("bin/python3")).args(pip).args(packages), "this test needs PyPI once");
        std::fs::write(done, "").unwrap();
    }
    folder.join("bin")
}

fn run(command: &mut Command, cure: &str) {
    let status = command.status();
    assert!(status.as_ref().is_ok_and(|status| status.success()), "{command:?} failed ({status:?}); {cure}");
}
