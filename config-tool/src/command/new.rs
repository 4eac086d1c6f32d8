//! `dunlin new`: a file to begin with.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use dunlin_config_format::config::is_identifier;

use crate::compile::{Severity, Source, compile};

use super::{CommandError, DEFAULT_FILE, Exit, STANDARD, not_written};

/// The file as it is written; name and broker are put in.
const TEMPLATE: &str = r#"# A node. `dunlin check` tells what is wrong with it, `dunlin simulate` runs it here.
[device]
name = "NAME"ROOM# a-z, 0-9 and -; also the MQTT client identifier

[mqtt]
broker = "BROKER"ROOM# host or host:port

[i2c.main]
sda = 4                           # GPIO4 is D2 on a D1 mini
scl = 5                           # GPIO5 is D1

[sensor.light]
driver = "tsl2591"
period = "10s"
filters = [{ median = 3 }, { round = 1 }]
"#;

/// What a device is called whose file tells no name.
const NAME: &str = "node-1";

/// Write a file to begin with
#[derive(Args)]
pub(crate) struct Arguments {
    /// Where it goes, and what the device is called; `-` for standard output
    #[arg(default_value = DEFAULT_FILE)]
    file: PathBuf,
    /// The broker
    #[arg(long, value_name = "HOST[:PORT]", default_value = "192.168.1.10")]
    broker: String,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    let shown = arguments.file.display();
    let name = device_name(&arguments.file);
    let text = TEMPLATE
        .lines()
        .map(|line| with(line, "NAME", &name).or_else(|| with(line, "BROKER", &arguments.broker)))
        .zip(TEMPLATE.lines())
        .map(|(written, line)| written.unwrap_or_else(|| line.to_owned()) + "\n")
        .collect();
    let source = Source { name: shown.to_string(), text };
    let compiled = compile(&source);
    if let Some(problem) = compiled.diagnostics.iter().find(|problem| problem.severity == Severity::Error) {
        return Err(CommandError::new(Exit::Usage, format!("{}; {}", problem.message, problem.help)));
    }
    if arguments.file.as_os_str() == STANDARD {
        print!("{}", source.text);
        return Ok(Exit::Done);
    }
    let mut file =
        OpenOptions::new().write(true).create_new(true).open(&arguments.file).map_err(|error| {
            if error.kind() != std::io::ErrorKind::AlreadyExists {
                return not_written(&arguments.file, &error);
            }
            CommandError::new(
                Exit::Usage,
                format!("`{shown}` is there already, and is left as it is: name another file, such as `dunlin new other.toml`"),
            )
        })?;
    file.write_all(source.text.as_bytes()).map_err(|error| not_written(&arguments.file, &error))?;
    let named = if arguments.file.as_os_str() == DEFAULT_FILE {
        String::new()
    } else {
        format!(" {}", quoted(&shown.to_string()))
    };
    println!("wrote `{shown}`\nnext: dunlin check{named} && dunlin simulate{named}");
    Ok(Exit::Done)
}

/// Returns a line of the template with a value in it; none where it has no place for that. The comments stand below each
/// other, wherever there is room.
fn with(line: &str, place: &str, value: &str) -> Option<String> {
    let (before, behind) = line.split_once(place)?;
    let width = 33_usize.saturating_sub(before.len() + value.len());
    Some(format!("{before}{value}{}", behind.replace("ROOM", &" ".repeat(width.max(2)))))
}

/// Returns what a device is called whose file is this: as the file is, as far as a name can be.
fn device_name(file: &Path) -> String {
    let stem = |file: &Path| file.file_stem().map(|stem| stem.to_string_lossy().to_lowercase());
    let named = stem(file).filter(|name| Some(name) != stem(Path::new(DEFAULT_FILE)).as_ref());
    let as_name = |each: char| if each.is_ascii_alphanumeric() { each } else { '-' };
    let name: Option<String> = named.map(|name| name.chars().map(as_name).collect());
    let name = name.map(|name| name.trim_matches('-').to_owned()).filter(|name| is_identifier(name));
    name.unwrap_or_else(|| NAME.to_owned())
}

/// Returns a path as a shell takes it.
fn quoted(path: &str) -> String {
    let is_plain = path.chars().all(|c| c.is_alphanumeric() || "/\\._-:".contains(c));
    if is_plain { path.to_owned() } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_called_as_its_file_where_that_is_a_name() {
        for (file, name) in [
            ("kitchen.toml", "kitchen"),
            ("nodes/Living Room_2.toml", "living-room-2"),
            ("shed.v2.toml", "shed-v2"),
            ("garden", "garden"),
            ("node.toml", NAME),
            ("Node.toml", NAME),
            ("-", NAME),
            ("\u{e4}.toml", NAME),
            ("/", NAME),
            ("a-name-that-is-longer-than-a-device-may-have.toml", NAME),
        ] {
            assert_eq!(device_name(Path::new(file)), name, "{file}");
        }
    }
}
