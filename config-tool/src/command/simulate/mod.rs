//! `dunlin simulate`: runs a node on this computer.

mod flash_file;
mod saves;
mod view;

use std::fs;
use std::io::{IsTerminal, Write};
use std::net::{SocketAddr, SocketAddrV4, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;

use clap::Args;
use dunlin_config_format::config::Config;
use dunlin_config_format::flash_map::FIRMWARE;
use dunlin_config_format::image::Image;
use dunlin_twin::devices::nor_flash::{NorFlash, Timing};
use dunlin_twin::host::real_time::RealTime;
use dunlin_twin::world::broker::Broker;
use dunlin_twin::world::clock::Clock;
use dunlin_twin::world::environment::Environment;
use dunlin_twin::world::scenario::Scenario;
use dunlin_twin::world::trace::plot;
use embassy_time::Duration;

use super::{CommandError, DEFAULT_FILE, Exit, check};
use crate::compile::parse_scenario;
use crate::interrupt::Interrupt;
use crate::simulate::real::BrokerEnd;
use crate::simulate::{FLASH_SIZE, Line, Run, SeedError, Story, real, seed, virtually};
use crate::{duration, package};
use view::View;

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
    /// Decides everything random; equal seeds repeat a virtual run to the byte
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Keep the flash chip's contents in this file
    #[arg(long, value_name = "FILE")]
    flash: Option<PathBuf>,
    /// Run what the flash file holds, whatever FILE says
    #[arg(long, requires = "flash")]
    as_stored: bool,
    /// Write what happens as CSV
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Draw readings, messages and faults over time
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Push the file to the node at every save
    #[arg(long, conflicts_with = "is_virtual")]
    watch: bool,
    /// Lines as they come in place of the live view, which only a terminal gets
    #[arg(long)]
    plain: bool,
    /// Write the node's network packets (pcap)
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Run this firmware image on an emulated ESP8266, in place of the agent compiled for this computer
    #[arg(long, value_name = "IMAGE", conflicts_with = "pcap")]
    firmware: Option<PathBuf>,
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
    let (name, package) = load(arguments.file.as_deref())?;
    let image = Image::parse(&package.image)
        .map_err(|error| CommandError::new(Exit::Refused, format!("{name}: {error:?}")))?;
    println!("dunlin simulate {name}: device `{}`, image {} bytes", package.device, package.image.len());

    let flash = open_flash(arguments.flash.as_deref())?;
    match seed(&flash, &image) {
        Ok(()) => {}
        Err(SeedError::Other) if arguments.as_stored => {
            println!("the flash file's configuration runs, not {name}")
        }
        Err(SeedError::Other) => {
            let text = "the flash file holds another configuration: run that with --as-stored (and `dunlin push` this one), or name another flash file";
            return Err(CommandError::new(Exit::Usage, text));
        }
    }
    if let Some(path) = &arguments.firmware {
        put_firmware(&flash, path)?;
        println!("on an emulated ESP8266, with the firmware of {}", path.display());
    }
    let clock = if arguments.is_virtual { Clock::virtual_time() } else { Clock::following(RealTime::new()) };
    let scenario = load_scenario(arguments)?;
    let timing = Timing { erase: arguments.erase_time, ..Timing::default() };
    let flash_kept = flash.clone();
    if let Some(path) = &arguments.flash {
        flash_file::keep(&flash, path)
            .map_err(|error| CommandError::new(Exit::Device, format!("`{}`: {error}", path.display())))?;
    }
    let mut node =
        Run::new(clock, &scenario, flash, timing, arguments.csv.is_some(), arguments.firmware.is_some());
    // The stand-in is where the file's broker is. A file that is pushed later and names another one finds nobody there.
    let config = Config::decode(image.body)
        .map_err(|error| CommandError::new(Exit::Refused, format!("{name}: {error:?}")))?;
    if let (Ok(address), Ok(port)) = (config.mqtt.host.parse(), u16::try_from(config.mqtt.port.0)) {
        node.simulation.serve_only(SocketAddrV4::new(address, port));
    }
    if let Some(lan) = node.simulation.lan().filter(|_| arguments.pcap.is_some()) {
        lan.link().start_capture();
    }
    let result = if arguments.is_virtual {
        run_virtually(arguments, &mut node)
    } else {
        run_really(arguments, &mut node)
    };
    result.map_err(|error| CommandError::new(Exit::Device, error))?;
    finish(arguments, &node, &flash_kept)?;
    Ok(Exit::Done)
}

/// Reads the file, or takes the tutorial where none is named and none is there.
fn load(file: Option<&Path>) -> Result<(String, crate::device::Package), CommandError> {
    let refused = |error: &dyn std::fmt::Display| CommandError::new(Exit::Refused, error);
    let default = Path::new(DEFAULT_FILE);
    match file.or_else(|| default.exists().then_some(default)) {
        Some(path) => {
            let package = package::load_without_secrets(path).map_err(|error| refused(&error))?;
            Ok((path.display().to_string(), package))
        }
        None => {
            let package = package::from_text("the tutorial", TUTORIAL).map_err(|error| refused(&error))?;
            Ok((format!("the tutorial (no `{DEFAULT_FILE}` here)"), package))
        }
    }
}

fn load_scenario(arguments: &Arguments) -> Result<Scenario, CommandError> {
    let Some(path) = &arguments.scenario else {
        return Ok(Scenario { seed: arguments.seed, ..Scenario::quiet(Environment::room(arguments.seed)) });
    };
    let source = check::read(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let file = |name: &str| fs::read_to_string(folder.join(name)).map_err(|error| error.to_string());
    parse_scenario(&source, arguments.seed, file).map_err(|problems| {
        let told: Vec<String> = problems.iter().map(|problem| problem.human(&source, false)).collect();
        CommandError::new(Exit::Refused, format!("the scenario is refused\n\n{}", told.join("\n")))
    })
}

fn open_flash(path: Option<&Path>) -> Result<NorFlash, CommandError> {
    let Some(path) = path.filter(|path| path.exists()) else { return Ok(NorFlash::new(FLASH_SIZE)) };
    let shown = path.display();
    let bytes =
        fs::read(path).map_err(|error| CommandError::new(Exit::Device, format!("`{shown}`: {error}")))?;
    if bytes.len() != FLASH_SIZE {
        let text = format!("`{shown}` is no flash file: it has {} bytes, not {FLASH_SIZE}", bytes.len());
        return Err(CommandError::new(Exit::Usage, text));
    }
    Ok(NorFlash::with_contents(bytes))
}

/// Puts a firmware image where a board has it.
fn put_firmware(flash: &NorFlash, path: &Path) -> Result<(), CommandError> {
    let shown = path.display();
    let image = fs::read(path).map_err(|error| {
        let text = format!("`{shown}`: {error}; `cargo xtask firmware` builds target/firmware/dunlin.bin");
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

fn run_virtually(arguments: &Arguments, node: &mut Run) -> Result<(), String> {
    println!("the built-in broker stands in for the file's; virtual time\n");
    let mut broker = Broker::new();
    node.observe(&mut broker);
    let duration = arguments.duration.unwrap_or(Duration::from_secs(0));
    // A day has 43,200 lines: the summary tells more. Lines are shown for short runs.
    let show_lines = duration <= Duration::from_secs(600);
    let mut out = Output::Lines { are_shown: show_lines };
    virtually(node, &mut broker, duration, |story| out.show(story))
}

fn run_really(arguments: &Arguments, node: &mut Run) -> Result<(), String> {
    let rings = match real::share_line(node) {
        Ok(rings) => Some(rings),
        Err(error) => {
            eprintln!("other commands cannot reach this board as `sim`: {error}");
            None
        }
    };
    let mut broker = match &arguments.broker {
        Some(text) => {
            let address = resolve(text)?;
            println!("broker {address} stands in for the file's");
            BrokerEnd::users(node, address).map_err(|error| error.to_string())?
        }
        None => {
            let broker =
                BrokerEnd::own(node).map_err(|error| format!("no port for the built-in broker: {error}"))?;
            println!("the built-in broker stands in for the file's (or name yours: --broker HOST:PORT)");
            broker
        }
    };
    let port = broker
        .port()
        .or_else(|| arguments.broker.as_ref().and_then(|text| resolve(text).ok()).map(|a| a.port()));
    if let Some(port) = port {
        println!("watch it:   mosquitto_sub -p {port} -v -t '#'");
    }
    println!("change it:  dunlin push FILE --port sim        stop it: Ctrl-C\n");
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
    let mut out = Output::new(arguments.plain);
    let clock = node.clock.clone();
    real::until(
        node,
        &mut broker,
        rings.as_ref(),
        end,
        || interrupt.is_set(),
        |story| {
            let told = saves.iter().flat_map(Receiver::try_iter);
            story.lines.extend(told.map(|text| Line { at: clock.now(), topic: None, text }));
            out.show(story);
        },
    )
}

fn resolve(text: &str) -> Result<SocketAddr, String> {
    let text = if text.contains(':') { text.to_owned() } else { format!("{text}:1883") };
    let mut addresses = text.to_socket_addrs().map_err(|error| format!("`{text}` is no broker: {error}"))?;
    addresses.next().ok_or_else(|| format!("`{text}` has no address"))
}

/// Where the lines of a run go.
enum Output {
    Lines { are_shown: bool },
    Terminal(View),
}

impl Output {
    fn new(is_plain: bool) -> Self {
        if is_plain || !std::io::stdout().is_terminal() {
            return Output::Lines { are_shown: true };
        }
        Output::Terminal(View::new(std::env::var_os("NO_COLOR").is_none()))
    }

    fn show(&mut self, story: &mut Story) {
        let lines = story.lines.drain(..);
        // A pipe that nobody reads any more is no reason to stop.
        let _ = match self {
            Output::Lines { are_shown: false } => Ok(()),
            Output::Lines { are_shown: true } => write_lines(lines),
            Output::Terminal(_) if lines.len() == 0 => Ok(()),
            Output::Terminal(view) => view.show(lines),
        };
    }
}

fn write_lines(lines: impl Iterator<Item = Line>) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let is_colored = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    for line in lines {
        match (is_colored, &line.topic) {
            (true, None) => writeln!(out, "\x1b[2m{line}\x1b[0m")?,
            _ => writeln!(out, "{line}")?,
        }
    }
    out.flush()
}

/// Writes what was asked for, and the summary.
fn finish(arguments: &Arguments, node: &Run, flash: &NorFlash) -> Result<(), CommandError> {
    let write = |path: &Path, bytes: &[u8]| {
        fs::write(path, bytes)
            .map_err(|error| CommandError::new(Exit::Device, format!("`{}`: {error}", path.display())))
    };
    let mut story = node.story.borrow_mut();
    if let Some(path) = &arguments.csv {
        write(path, &story.trace.take_csv())?;
    }
    if let Some(path) = &arguments.plot {
        write(path, plot(&story.trace, "dunlin simulate").as_bytes())?;
    }
    if let (Some(path), Some(lan)) = (&arguments.pcap, node.simulation.lan()) {
        write(path, &lan.link().take_capture())?;
    }
    let (counts, flash) = (story.trace.counts(), flash.counts());
    let (mut transactions, mut samples) = (0, 0);
    node.simulation.hardware().wiring.for_each_bus(|_, bus| {
        transactions += bus.counters().transactions;
        samples += bus.samples();
    });
    println!();
    println!("simulated       {:.1} s", node.clock.now().as_millis() as f64 / 1000.0);
    println!("samples         {samples} read over I2C, in {transactions} transactions");
    println!("messages        {} at the broker ({} bytes)", counts.messages, counts.payload_bytes);
    if story.deliveries > 0 {
        println!("deliveries      {} to subscribers", story.deliveries);
    }
    println!("sessions        {}", counts.sessions);
    if let Some(share) = node.simulation.asleep() {
        println!("processor       asleep for {:.1} % of the time", share * 100.0);
    }
    println!("faults          {}", counts.faults);
    println!(
        "flash           {} erases, {} programs, {} misuses",
        flash.erases, flash.programs, flash.misuses
    );
    Ok(())
}
