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
    assert!(fs::read(folder.join("node.dunlin")).unwrap().starts_with(b"DNLN"), "an image");
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
        // By SIGPIPE, as other programs are: a verdict that nobody read is no success.
        assert_eq!(output.status.code(), None, "{arguments:?}: {error}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_in_a_line() {
    let folder = folder("full");
    let output =
        dunlin(&folder, &["schema"]).stdout(fs::File::create("/dev/full").unwrap()).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.starts_with("error: the output can't be written: No space left"), "{error}");
    assert_eq!((error.lines().count(), output.status.code()), (1, Some(2)));
}

#[test]
fn check_goes_on_behind_a_file_that_is_not_there() {
    let folder = folder("several");
    fs::write(folder.join("bare.toml"), "[device]\nname = \"n\"\n[mqtt]\nbroker = \"10.0.0.1\"\n").unwrap();
    let (code, text, _) = run(&folder, &["check", "missing.toml", "node.toml"]);
    assert!(code == 1 && text.starts_with("error: `missing.toml` does not exist"), "{text}");
    assert!(text.contains("node.toml: device `node-1`\nfine\n"), "{text}");
    let (code, text, _) =
        run(&folder, &["check", "--format", "json", "missing.toml", "bare.toml", "node.toml"]);
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((code, lines.len()), (1, 4), "{text}");
    assert!(lines[2]["refused"] == false && lines[3]["budget"]["image"].is_number());
    // Without sensors: a warning, and no negative zero.
    let (code, text, _) = run(&folder, &["check", "bare.toml"]);
    assert!(code == 0 && text.contains("warning[D026]") && text.contains("fine, with 1 warning\n"), "{text}");
    assert!(!text.contains("-0"), "{text}");
    let (code, text, _) = run(&folder, &["check", "--deny-warnings", "bare.toml"]);
    assert!(code == 1 && text.contains("\nrefused: 1 warning, and --deny-warnings\n"), "{text}");
    let (code, text, _) = run(&folder, &["check", "--deny-warnings", "--format", "json", "bare.toml"]);
    assert!(code == 1 && text.contains("\"refused\":true"), "{text}");
}

#[test]
fn new_names_its_file_in_the_next_step() {
    let folder = folder("new");
    let (code, text, _) = run(&folder, &["new", "q.toml"]);
    assert_eq!(
        (code, text.as_str()),
        (0, "wrote `q.toml`\nnext: dunlin check q.toml && dunlin simulate q.toml\n")
    );
}

#[test]
fn diff_ends_as_diff_and_git_do() {
    let folder = folder("diff");
    fs::write(folder.join("other.toml"), FILE.replace("2s", "5s")).unwrap();
    fs::write(folder.join("broken.toml"), FILE.replace("2s", "2")).unwrap();
    for (second, usual, asked) in
        [("node.toml", 0, 0), ("other.toml", 0, 1), ("broken.toml", 1, 2), ("missing.toml", 1, 2)]
    {
        assert_eq!(run(&folder, &["diff", "node.toml", second]).0, usual, "{second}");
        assert_eq!(run(&folder, &["diff", "--exit-code", "node.toml", second]).0, asked, "{second}");
        assert_eq!(
            run(&folder, &["diff", "--exit-code", "--json", second, "node.toml"]).0,
            asked,
            "{second}"
        );
    }
    assert_eq!(run(&folder, &["diff", "--exit-code", "node.toml", "--port", "tcp://nowhere"]).0, 64);
}

#[test]
fn ports_are_listed_alike_in_words_and_in_json() {
    let folder = folder("ports");
    let (code, text, _) = run(&folder, &["ports"]);
    let (json_code, json, _) = run(&folder, &["ports", "--json"]);
    assert_eq!((code, json_code), (0, 0));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let ports = json["ports"].as_array().unwrap();
    // Which ports there are is the computer's; a simulation may run.
    if ports.is_empty() {
        let words = "no serial port: plug a board in (a charging cable has no data lines), or start `dunlin simulate`\n";
        assert_eq!(text, words);
        return;
    }
    assert_eq!(text.lines().count(), ports.len(), "{text}{json}");
    for (line, port) in text.lines().zip(ports) {
        assert!(line.starts_with(port["port"].as_str().unwrap()), "{line}");
        assert!(port["obstacle"].as_str().is_none_or(|why| line.ends_with(&format!("({why})"))), "{line}");
    }
}

/// What a shell offers behind a line that is typed up to here.
fn offered(folder: &Path, script: &str, words: &[&str]) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_dunlin")).parent().unwrap().to_owned();
    let path = std::env::join_paths(
        std::iter::once(program).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let (last, before) = words.split_last().unwrap();
    let typed = format!(
        "{script}\nCOMP_WORDS=({}); COMP_CWORD={}; _dunlin dunlin '{last}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
        before.len(),
        before.last().unwrap(),
    );
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", &typed]).env("PATH", path.unwrap()).env("XDG_RUNTIME_DIR", folder);
    let output = bash.current_dir(folder).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_shell_offers_the_words_to_explain_and_the_ports_of_the_moment() {
    let folder = folder("completions");
    let (_, script, _) = run(&folder, &["completions", "bash"]);
    let offered = |words: &[&str]| offered(&folder, &script, words);
    assert_eq!(offered(&["dunlin", "explain", "sensor.per"]), "sensor.period\n");
    assert_eq!(offered(&["dunlin", "explain", "D012"]), "D012\n");
    assert_eq!(offered(&["dunlin", "explain", "broker-m"]), "broker-mute\n");
    let mut simulation = dunlin(&folder, &["simulate", "node.toml", "--duration", "1m"]);
    let mut simulation = simulation.env("XDG_RUNTIME_DIR", &folder).stdout(Stdio::null()).spawn().unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let mut told = String::new();
    while told != "sim\n" && std::time::Instant::now() < deadline {
        told = offered(&["dunlin", "push", "--port", "si"]);
    }
    simulation.kill().unwrap();
    simulation.wait().unwrap();
    assert_eq!(told, "sim\n");
}
