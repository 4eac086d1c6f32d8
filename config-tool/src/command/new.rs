//! `dunlin new`: a file to begin with.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::{CommandError, DEFAULT_FILE, Exit, STANDARD, not_written};

/// The file as it is written; the broker is put in.
const TEMPLATE: &str = r#"# A node. `dunlin check` tells what is wrong with it, `dunlin simulate` runs it here.
[device]
name = "node-1"                   # a-z, 0-9 and -; also the MQTT client identifier

[mqtt]
broker = "BROKER"COMMENT

[i2c.main]
sda = 4                           # GPIO4 is D2 on a D1 mini
scl = 5                           # GPIO5 is D1

[sensor.light]
driver = "tsl2591"
period = "10s"
filters = [{ median = 3 }, { round = 1 }]
"#;

/// Write a file to begin with
#[derive(Args)]
pub(crate) struct Arguments {
    /// Where it goes; `-` for standard output
    #[arg(default_value = DEFAULT_FILE)]
    file: PathBuf,
    /// The broker
    #[arg(long, value_name = "HOST[:PORT]", default_value = "192.168.1.10")]
    broker: String,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    let shown = arguments.file.display();
    // The comments stand below each other, wherever there is room.
    let room = " ".repeat(23_usize.saturating_sub(arguments.broker.len()).max(2));
    let comment = format!("{room}# host or host:port");
    let text = TEMPLATE.replace("BROKER", &arguments.broker).replace("COMMENT", &comment);
    let source = crate::compile::Source { name: shown.to_string(), text };
    let compiled = crate::compile::compile(&source);
    if let Some(problem) = compiled.diagnostics.first() {
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

/// Returns a path as a shell takes it.
fn quoted(path: &str) -> String {
    let is_plain = path.chars().all(|c| c.is_alphanumeric() || "/\\._-:".contains(c));
    if is_plain { path.to_owned() } else { format!("'{}'", path.replace('\'', "'\\''")) }
}
