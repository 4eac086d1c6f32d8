//! `dunlin simulate`: runs a node on this computer.

mod files;
mod flash_file;
mod output;
mod saves;
mod script;
mod view;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;

use clap::Args;
use dunlin_config_format::config::{Config, Mqtt};
use dunlin_config_format::flash_map::FIRMWARE;
use dunlin_config_format::image::Image;
use dunlin_twin::devices::nor_flash::{NorFlash, Timing};
use dunlin_twin::host::gdb_server::GdbServer;
use dunlin_twin::host::real_time::RealTime;
use dunlin_twin::native::stored::{Stored, proven, stored};
use dunlin_twin::world::broker::Broker;
use dunlin_twin::world::clock::Clock;
use embassy_time::Duration;
use serde_json::json;

use super::{CommandError, DEFAULT_FILE, Exit};
use crate::device::Package;
use crate::interrupt::Interrupt;
use crate::simulate::real::{BrokerEnd, MQTT_PORT};
use crate::simulate::{Event, FLASH_SIZE, Run, SeedError, Wants, real, seed, virtually};
use crate::{duration, package};
use files::Files;
use flash_file::FlashFile;
use output::Output;
use script::Script;

/// The tutorial, for those who have no file yet.
const TUTORIAL: &str = include_str!("../../../../examples/configs/tutorial.toml");

/// Run a node on this computer: simulated sensors, a built-in broker, no hardware
#[derive(Args)]
pub(crate) struct Arguments {
    /// The file; `node.toml` unless named, and the tutorial where there is none
    file: Option<PathBuf>,
    /// Use this broker (HOST:PORT) in place of the built-in one
    #[arg(long, value_name = "HOST:PORT")]
    broker: Option<String>,
    /// Stop after this time, such as 30s or 1d
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    duration: Option<Duration>,
    /// Jump from event to event in place of waiting; needs --duration
    #[arg(long = "virtual")]
    is_virtual: bool,
    /// What goes wrong and when, and the light
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Decides everything random, before the scenario's; equal seeds repeat a virtual run to the byte
    #[arg(long)]
    seed: Option<u64>,
    /// Keep the flash chip's contents in this file
    #[arg(long, value_name = "FILE")]
    flash: Option<PathBuf>,
    /// Run what the flash file holds, whatever FILE says
    #[arg(long, requires = "flash")]
    as_stored: bool,
    /// Write what happens as CSV; `-` for standard output
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Draw readings, messages and faults over time; `-` for standard output
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Push the file to the node at every save
    #[arg(long, conflicts_with = "is_virtual")]
    watch: bool,
    /// Lines as they come in place of the live view, which only a terminal gets
    #[arg(long)]
    plain: bool,
    /// JSON Lines instead of text
    #[arg(long, conflicts_with = "plain")]
    json: bool,
    /// Write the node's network packets (pcap); with --firmware those that cross its serial line; `-` for standard output
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Run this firmware image on an emulated ESP8266, in place of the agent compiled for this computer
    #[arg(long, value_name = "IMAGE")]
    firmware: Option<PathBuf>,
    /// Halt the emulated chip for a GDB that connects to this port of the computer, and let it go on as GDB says
    #[arg(long, value_name = "PORT", requires = "firmware", conflicts_with = "is_virtual")]
    gdb: Option<u16>,
    /// How long the flash chip takes to erase a sector
    #[arg(long, value_name = "TIME", default_value = "45ms", value_parser = duration::parse)]
    erase_time: Duration,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    let usage = |text: &str| CommandError::new(Exit::Usage, text);
    if arguments.is_virtual && arguments.broker.is_some() {
        return Err(usage("--virtual jumps in time, and a broker outside does not: leave one of both out"));
    }
    if arguments.is_virtual && arguments.duration.is_none() {
        return Err(usage("--virtual never ends by itself: add --duration, such as --duration 1d"));
    }
    if arguments.watch && arguments.file.is_none() && !Path::new(DEFAULT_FILE).exists() {
        return Err(usage("--watch needs a file to watch: `dunlin new` writes one"));
    }
    files::check(arguments)?;
    let broker = arguments.broker.as_deref().map(resolve).transpose()?;
    let script = Script::load(arguments)?;
    let Loaded { name, package, missing } = load(arguments.file.as_deref())?;
    let refused =
        |error: &dyn std::fmt::Debug| CommandError::new(Exit::Refused, format!("{name}: {error:?}"));
    let image = Image::parse(&package.image).map_err(|error| refused(&error))?;
    let mut files = Files::open(arguments)?;
    let open = |path| FlashFile::open(path, arguments.as_stored);
    let flash_file = arguments.flash.as_deref().map(open).transpose()?;

    let flash = flash_file.as_ref().map_or_else(|| NorFlash::new(FLASH_SIZE), FlashFile::chip);
    let is_stored = if arguments.as_stored {
        let runs = stored(&flash);
        if runs.is_none() {
            eprintln!("the flash file holds no configuration that can be run: the node waits for a push");
        }
        runs.is_none_or(|runs| runs.hash != image.header.hash)
    } else {
        seed(&flash, &image, &package.secrets).map_err(|error| usage(refusal(&error)))?;
        false
    };
    tell_what_runs(arguments, &name, &package, &missing, is_stored);
    if let Some(path) = &arguments.firmware {
        put_firmware(&flash, path)?;
        arguments.say(&format!("on an emulated ESP8266, with the firmware of {}", path.display()));
    }
    let clock = if arguments.is_virtual { Clock::virtual_time() } else { Clock::following(RealTime::new()) };
    let timing = Timing { erase: arguments.erase_time, ..Timing::default() };
    let flash_failure = flash_file.map(|file| file.keep(&flash)).transpose()?;
    let mut output = Output::new(arguments);
    let wants = Wants {
        lines: !matches!(output, Output::Nowhere),
        csv: arguments.csv.is_some(),
        readings: arguments.csv.is_some() || arguments.plot.is_some() || arguments.json,
        chip: arguments.firmware.is_some(),
    };
    let mut node = Run::new(clock, &script.scenario, flash.clone(), timing, wants);
    let body = |stored: Option<Stored>| stored.map_or_else(|| image.body.to_vec(), |stored| stored.body);
    let running = body(stored(&flash));
    script.warn(arguments, &Config::decode(&running).map_err(|error| refused(&error))?);
    // The stand-in is where the configuration that has proved itself finds its broker. One that is pushed later, or on trial, and
    // names another finds nobody.
    let proven = body(proven(&flash));
    let Mqtt { host, port, .. } = Config::decode(&proven).map_err(|error| refused(&error))?.mqtt;
    let port = u16::try_from(port.0).unwrap_or(0);
    node.simulation.serve_only(host, port);
    let place = format!("{host}:{port}");
    if arguments.pcap.is_some() {
        node.simulation.start_capture();
    }
    let show = |node: &mut Run| {
        let lines = std::mem::take(&mut node.story.borrow_mut().lines);
        output.show(lines.into_iter());
        if let Some(error) = flash_failure.as_ref().and_then(|failure| failure.borrow_mut().take()) {
            return Err(error);
        }
        files.follow(node)
    };
    let result = if arguments.is_virtual {
        run_virtually(arguments, &mut node, &place, show)
    } else {
        run_really(arguments, &mut node, broker, &place, show)
    };
    // A run that ends badly still leaves what happened until then.
    let written = files.finish(&mut node);
    result.and(written).map_err(|error| CommandError::new(Exit::Device, error))?;
    output::summary(arguments, &node, &flash);
    Ok(if node.story.borrow().has_stopped { Exit::Device } else { Exit::Done })
}

impl Arguments {
    /// Tells a person something; on the standard error where the standard output is JSON Lines or a file.
    fn say(&self, text: &str) {
        if self.json || self.is_piped() { eprintln!("{text}") } else { println!("{text}") }
    }

    /// Returns whether the standard output is one of the run's files.
    fn is_piped(&self) -> bool {
        !files::piped(self).is_empty()
    }
}

/// Tells why a flash file is not used, and the ways out.
fn refusal(error: &SeedError) -> &'static str {
    match error {
        SeedError::Other => {
            "the flash file runs another configuration: run that with --as-stored (and `dunlin push` this one), or name another flash file"
        }
        SeedError::NoneRuns => {
            "the flash file holds only configurations that were given up: start that with --as-stored (and `dunlin push` this one), or name another flash file"
        }
    }
}

/// Says in the first line what runs, and then which secrets the board would miss.
fn tell_what_runs(arguments: &Arguments, name: &str, package: &Package, missing: &[String], is_stored: bool) {
    let (device, bytes) = (&package.device, package.image.len());
    match (is_stored, &arguments.flash) {
        (true, Some(flash)) => {
            arguments.say(&format!(
                "dunlin simulate {}: the configuration stored in it runs, not {name}",
                flash.display()
            ));
        }
        _ if arguments.json => println!(
            "{}",
            json!({ "version": 1, "event": "simulation", "file": name, "device": device, "image-bytes": bytes })
        ),
        _ => arguments.say(&format!("dunlin simulate {name}: device `{device}`, image {bytes} bytes")),
    }
    for secret in missing {
        arguments
            .say(&format!("note: {secret}; the built-in broker asks for none, others and `dunlin push` do"));
    }
}

/// A file, read.
struct Loaded {
    name: String,
    package: Package,
    /// Secrets that a push would miss.
    missing: Vec<String>,
}

/// Reads the file, or takes the tutorial where none is named and none is there.
fn load(file: Option<&Path>) -> Result<Loaded, CommandError> {
    let refused = |error: &dyn std::fmt::Display| CommandError::new(Exit::Refused, error);
    let default = Path::new(DEFAULT_FILE);
    match file.or_else(|| default.exists().then_some(default)) {
        Some(path) => {
            let (package, missing) = package::load_for_simulation(path).map_err(|error| refused(&error))?;
            package.warnings.iter().for_each(|warning| eprintln!("{warning}"));
            Ok(Loaded { name: path.display().to_string(), package, missing })
        }
        None => {
            let package = package::from_text("the tutorial", TUTORIAL).map_err(|error| refused(&error))?;
            let name = format!("the tutorial (no `{DEFAULT_FILE}` here)");
            Ok(Loaded { name, package, missing: Vec::new() })
        }
    }
}

/// Puts a firmware image where a board has it.
fn put_firmware(flash: &NorFlash, path: &Path) -> Result<(), CommandError> {
    let shown = path.display();
    let image = fs::read(path).map_err(|error| {
        let text = format!(
            "`{shown}` can't be read: {error}; `cargo xtask firmware` builds target/firmware/dunlin.bin"
        );
        CommandError::new(Exit::Usage, text)
    })?;
    if image.len() > FIRMWARE.size as usize {
        let text = format!(
            "`{shown}` has {} bytes and reaches into the configurations; a firmware has at most {}",
            image.len(),
            FIRMWARE.size
        );
        return Err(CommandError::new(Exit::Usage, text));
    }
    flash.poke(FIRMWARE.address, &image);
    Ok(())
}

fn run_virtually(
    arguments: &Arguments,
    node: &mut Run,
    place: &str,
    mut show: impl FnMut(&mut Run) -> Result<(), String>,
) -> Result<(), String> {
    arguments.say(&format!("the built-in broker stands in for {place}; virtual time\n"));
    let mut broker = Broker::new();
    node.observe(&mut broker);
    node.listen(None);
    virtually(node, &mut broker, arguments.duration.unwrap_or(Duration::from_secs(0)), &mut show)
}

fn run_really(
    arguments: &Arguments,
    node: &mut Run,
    address: Option<SocketAddr>,
    place: &str,
    mut show: impl FnMut(&mut Run) -> Result<(), String>,
) -> Result<(), String> {
    let rings = match real::share_line(node) {
        Ok(rings) => Some(rings),
        Err(error) => {
            eprintln!("other commands cannot reach this board as `sim`: {error}");
            node.listen(None);
            None
        }
    };
    let mut broker = match address {
        Some(address) => {
            arguments.say(&format!("broker {address} stands in for {place}"));
            BrokerEnd::users(node, address).map_err(|error| error.to_string())?
        }
        None => {
            arguments.say(&format!(
                "the built-in broker stands in for {place} (or name yours: --broker HOST:PORT)"
            ));
            BrokerEnd::own(node).map_err(|error| format!("no port for the built-in broker: {error}"))?
        }
    };
    arguments.say(&format!("watch it:   mosquitto_sub {}-v -t '#'", clients_way(broker.port(), address)));
    let mut gdb = arguments.gdb.map(listen_for_gdb).transpose()?;
    if let Some(server) = &gdb {
        arguments.say(&format!("debug it:   target remote {}, in a GDB for the LX106", server.address()));
    }
    // Without a line of its own a push would go to another simulation.
    let push = if rings.is_some() { "change it:  dunlin push FILE --port sim        " } else { "" };
    arguments.say(&format!("{push}stop it: Ctrl-C\n"));
    let interrupt = Interrupt::watch().map_err(|error| format!("Ctrl-C can't be watched: {error}"))?;
    let end = arguments.duration.map(|duration| node.clock.now() + duration);
    let saves = match (arguments.watch, &rings) {
        (false, _) => None,
        (true, None) => return Err("--watch pushes over the line, and that is not served".to_owned()),
        (true, Some(_)) => {
            let file = arguments.file.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
            Some(saves::watch(file))
        }
    };
    real::until(
        node,
        &mut broker,
        rings.as_ref(),
        gdb.as_mut(),
        end,
        || interrupt.is_set(),
        |node| {
            for told in saves.iter().flat_map(Receiver::try_iter) {
                let now = node.clock.now();
                node.story.borrow_mut().push(now, Event::Note(told));
            }
            show(node)
        },
    )
}

/// Opens a port at which GDB finds the emulated chip.
fn listen_for_gdb(port: u16) -> Result<GdbServer, String> {
    GdbServer::bind((Ipv4Addr::LOCALHOST, port).into())
        .map_err(|error| format!("no port {port} for GDB: {error}; name another with --gdb"))
}

/// Returns how a client of MQTT is told where the broker is.
fn clients_way(own_port: Option<u16>, address: Option<SocketAddr>) -> String {
    match (own_port, address) {
        (Some(port), _) => format!("-p {port} "),
        (None, Some(address)) => format!("-h {} -p {} ", address.ip(), address.port()),
        (None, None) => String::new(),
    }
}

/// Finds the broker that the user names.
fn resolve(text: &str) -> Result<SocketAddr, CommandError> {
    let usage = |text: String| CommandError::new(Exit::Usage, text);
    if let Some((_, address)) = text.split_once("://") {
        return Err(usage(format!("`{text}` is a URL, and a broker has none: write `--broker {address}`")));
    }
    let has_port = text.rsplit_once(':').is_some_and(|(host, _)| !host.contains(':') || host.ends_with(']'));
    let named = if has_port { text.to_owned() } else { format!("{text}:{MQTT_PORT}") };
    let mut addresses = named.to_socket_addrs().map_err(|error| {
        usage(format!("`{text}` is no broker: {error}; write `--broker HOST:PORT`, such as 127.0.0.1:1883"))
    })?;
    addresses.next().ok_or_else(|| usage(format!("`{text}` has no address: write `--broker HOST:PORT`")))
}
