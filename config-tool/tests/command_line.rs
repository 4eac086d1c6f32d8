//! What the commands that need no board say, and what they leave alone.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const FILE: &str = "[device]\nname = \"node-1\"\n[mqtt]\nbroker = \"10.0.0.1\"\n[i2c.main]\nsda = 4\nscl = 5\n\
                    [sensor.lux]\ndriver = \"tsl2591\"\nperiod = \"2s\"\n";

/// A folder for one test.
fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("command-line").join(test);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("node.toml"), FILE).unwrap();
    folder
}

fn dunlin(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dunlin"));
    command.args(arguments).current_dir(folder).env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

/// Returns how a command ends, and what it says on both outputs.
fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = dunlin(folder, arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn compile_never_writes_over_a_text() {
    let folder = folder("compile");
    for arguments in [
        &["compile", "-o", "node.toml"][..],
        &["compile", "node.toml", "-o", "./other.TOML"],
        &["compile", "-"],
        &["compile", "node.toml", "-o", "link"],
        &["compile", "text.dunlin"],
    ] {
        fs::copy(folder.join("node.toml"), folder.join("text.dunlin")).unwrap();
        #[cfg(unix)]
        let _ = std::os::unix::fs::symlink("node.toml", folder.join("link"));
        let (code, _, error) = run(&folder, arguments);
        assert_eq!(code, 64, "{arguments:?}: {error}");
        assert!(error.contains("-o FILE.dunlin"), "{arguments:?}: {error}");
        assert_eq!(fs::read_to_string(folder.join("node.toml")).unwrap(), FILE);
        assert_eq!(fs::read_to_string(folder.join("text.dunlin")).unwrap(), FILE);
        assert!(!folder.join("-.dunlin").exists() && !folder.join("other.TOML").exists());
    }
    assert_eq!(run(&folder, &["compile"]).0, 0);
    assert!(fs::read(folder.join("node.dunlin")).unwrap().starts_with(b"DN"), "an image");
}

#[test]
fn a_closed_pipe_ends_a_command_quietly() {
    let folder = folder("pipe");
    for arguments in [
        &["show", "node.toml"][..],
        &["check"],
        &["explain"],
        &["schema"],
        &["completions", "bash"],
        &["simulate", "--virtual", "--duration", "1m"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = dunlin(&folder, arguments).stdout(writer).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!error.contains("panicked") && !error.contains("pipe"), "{arguments:?}: {error}");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {error}");
    }
}
