//! The host's door to the node: what the USB server asks of the rest of the agent.

use dunlin_config_format::Reason;
use dunlin_config_format::config::{Config, Sensor as Settings, is_free_pin};
use dunlin_config_format::driver::Driver;
use dunlin_config_format::image::{FORMAT_VERSION, IMAGE_LEN};
use dunlin_config_format::limits::{IDENTIFIER_LEN, REPORTS, SENSORS};
use dunlin_config_format::message::{
    BeginRequest, EndRequest, HASH_SIZE, HealthEvent, HelloBoard, HelloConfiguration, LogEvent, PullReply,
    ReadItem, ReadRequest, ReadingEvent, Refusal, SentEvent, Value, VerdictReply, VerdictRequest, bus, flag,
    outcome, state, what,
};
use embassy_time::{Duration, Instant, with_timeout};
use embedded_hal::i2c::{Error as _, ErrorKind, I2c};
use heapless::{String, Vec};

use crate::event::Event;
use crate::node::{Asker, Change, Node, Running};
use crate::platform::{ClearBus, Condition, I2cMaster, I2cPins, Platform, System};
use crate::sampler::Measured;
use crate::sensor::{Facts, Health, NO_READINGS, Progress, Sensor};
use crate::store::{Begin, BeginError, FinishError, FlashFault, SecretError};
use crate::text::Text;
use crate::uplink::messages::reset_name;
use crate::usb::{self, Begun, Probed, Pulled, Refused};
use dunlin_config_format::topic::Topics;

/// The longest time that a measurement of a sensor takes: two integrations of a TSL2591, and what is before them.
const MEASURE_TIMEOUT: Duration = Duration::from_secs(5);
/// Facts that INFO tells before the health of the sensors.
const FACTS: u16 = 23;
/// Most bytes of a text that is told to the host.
const TEXT_LEN: usize = 200;

/// The node as the USB server sees it.
pub(crate) struct HostDoor<'n, P: Platform> {
    node: &'n Node<P>,
    /// Name of the device that runs, for HELLO.
    device: String<IDENTIFIER_LEN>,
    /// What the events and facts being told borrow.
    text: String<TEXT_LEN>,
    name: String<TEXT_LEN>,
    measured: Option<(Driver, Measured)>,
    flags: u8,
}

impl<'n, P: Platform> HostDoor<'n, P> {
    /// Returns the door of `node`.
    pub(crate) fn new(node: &'n Node<P>) -> Self {
        HostDoor {
            node,
            device: String::new(),
            text: String::new(),
            name: String::new(),
            measured: None,
            flags: 0,
        }
    }

    fn running(&self) -> Running {
        self.node.shared.running.get()
    }

    /// Calls `read` with the running configuration.
    fn with_config<T>(&self, read: impl FnOnce(&Config<'_>) -> T) -> Option<T> {
        // The config loop holds a shared borrow while a configuration runs, and replaces it without waiting.
        let body = self.node.shared.body.try_borrow().ok()?;
        let config = Config::decode(body.bytes.get(..body.len)?).ok()?;
        Some(read(&config))
    }

    /// Measures a device that no configuration names.
    async fn measure_unnamed(&mut self, request: &ReadRequest<'_>) -> Result<(Driver, Measured), Refused> {
        let number = request.driver.ok_or(Refusal::Malformed)?;
        let driver = Driver::ALL
            .iter()
            .copied()
            .find(|driver| driver.number() == number)
            .ok_or(Refusal::NoSuchDriver)?;
        let (sda, scl) = (request.sda.ok_or(Refusal::Malformed)?, request.scl.ok_or(Refusal::Malformed)?);
        let pins = usable_pins(sda, scl)?;
        let settings = Settings {
            id: "probe",
            label: None,
            driver,
            bus: Some(0),
            address: request.address,
            period_ms: 1000,
            options: Default::default(),
            readings: Default::default(),
        };
        let mut sensor = Sensor::new(driver);
        loop {
            let now = Instant::now();
            let progress =
                sensor.step(&settings, Some(self.node.i2c.borrow_mut().bus(pins)), &Facts::default(), now);
            let (health, raw) = match progress {
                Progress::Wait(until) => {
                    embassy_time::Timer::at(until).await;
                    continue;
                }
                Progress::Done(raw) => (Health::Ok, raw),
                Progress::Failed(health) => (health, NO_READINGS),
            };
            return Ok((driver, Measured { sensor: 0, health, raw, filtered: raw }));
        }
    }
}

fn usable_pins(sda: u8, scl: u8) -> Result<I2cPins, Refused> {
    if !is_free_pin(sda) || !is_free_pin(scl) || sda == scl {
        return Err(Refusal::PinsRefused.into());
    }
    Ok(I2cPins { sda, scl, frequency_hz: 100_000 })
}

fn flash_fault(fault: FlashFault) -> Refused {
    Refused { refusal: Refusal::FlashFault, detail: Some(fault.address) }
}

impl<P: Platform> usb::Node for HostDoor<'_, P> {
    fn board(&self) -> HelloBoard<'_> {
        HelloBoard {
            part: 0,
            boot_id: self.node.shared.boot.id,
            major: 0,
            minor: 0,
            firmware: env!("CARGO_PKG_VERSION"),
            chip_id: self.node.shared.boot.chip_id,
            schema_low: 1,
            schema_high: FORMAT_VERSION,
            drivers: const { &[Driver::Internal.number(), Driver::Tsl2591.number()] },
            image_limit: IMAGE_LEN as u32,
            sensor_limit: SENSORS as u16,
            report_limit: REPORTS as u16,
        }
    }

    fn configuration(&mut self) -> HelloConfiguration<'_> {
        let running = self.running();
        let newest = self.node.store.borrow_mut().newest();
        let name = self.with_config(|config| String::try_from(config.device.name).unwrap_or_default());
        self.device = name.unwrap_or_default();
        let is_running = running.generation != 0;
        HelloConfiguration {
            part: 1,
            boot_id: 0,
            state: match (is_running, running.confirmed, newest) {
                (true, true, _) => state::CONFIRMED,
                (true, false, _) => state::TRIAL,
                (false, _, Some(_)) => state::SAFE_MODE,
                (false, _, None) => state::EMPTY,
            },
            generation: is_running.then_some(running.generation),
            active_hash: is_running.then_some(running.hash),
            stored_hash: newest.map(|(header, _)| header.hash),
            device: is_running.then_some(self.device.as_str()),
            rollback_reason: running.rolled_back.and_then(|(_, reason)| reason).map(Reason::code),
            rollback_generation: running.rolled_back.map(|(generation, _)| generation),
        }
    }

    fn verdict(&self, request: &VerdictRequest) -> VerdictReply {
        let running = self.running();
        let reply = |outcome| VerdictReply {
            outcome,
            reason: None,
            elapsed_ms: None,
            limit_ms: None,
            attempts: None,
        };
        // The same image may be stored again, because a secret has changed: the generation tells them apart.
        let is_meant = request.generation.is_none_or(|generation| generation == running.generation);
        if running.generation != 0 && running.hash == request.hash && is_meant {
            if running.confirmed {
                return reply(outcome::CONFIRMED);
            }
            let elapsed = running.started.map(|started| started.elapsed().as_millis());
            let limit_s = self.with_config(|config| config.mqtt.confirm_within_s.0).unwrap_or(0);
            return VerdictReply {
                outcome: outcome::TRIAL,
                reason: self.node.shared.obstacle.get().map(Reason::code),
                elapsed_ms: elapsed.and_then(|elapsed| u32::try_from(elapsed).ok()),
                limit_ms: running.has_fallback.then_some(limit_s.saturating_mul(1000)),
                attempts: Some(running.attempts),
            };
        }
        let newest = self.node.store.borrow_mut().newest();
        match (running.rolled_back, newest) {
            (_, Some((header, state)))
                if header.hash == request.hash && running.generation != header.generation =>
            {
                let is_given_up = state.rejected || state.attempts >= dunlin_config_format::slot::ATTEMPTS;
                let unreadable = Reason::Unreadable.code();
                let reason = if is_given_up { state.reason } else { Some(unreadable) };
                let shared = &self.node.shared;
                let is_starting = !is_given_up && (shared.change.signaled() || shared.is_leaving.get());
                VerdictReply {
                    outcome: if is_starting { outcome::STARTING } else { outcome::REJECTED },
                    reason: reason.filter(|_| !is_starting),
                    elapsed_ms: None,
                    limit_ms: None,
                    attempts: Some(state.attempts),
                }
            }
            _ => reply(outcome::UNKNOWN),
        }
    }

    async fn begin(&mut self, request: &BeginRequest<'_>) -> Result<Begun, Refused> {
        let is_other = self.with_config(|config| config.device.name != request.device).unwrap_or(false);
        if is_other && request.flags & flag::REPLACE == 0 {
            return Err(Refusal::OtherDevice.into());
        }
        self.flags = request.flags;
        let again = request.flags & flag::AGAIN != 0;
        match self.node.store.borrow_mut().begin(request.length, &request.hash, again) {
            Ok(Begin::Ready) => Ok(Begun::Ready),
            Ok(Begin::Unchanged) => Ok(Begun::Unchanged),
            Err(BeginError::TooLong) => {
                Err(Refused { refusal: Refusal::ImageTooLong, detail: Some(IMAGE_LEN as u32) })
            }
            Err(BeginError::Flash(fault)) => Err(flash_fault(fault)),
        }
    }

    fn write_page(&mut self, offset: u32, page: &[u8]) -> Result<(), Refused> {
        self.node.store.borrow_mut().write_page(offset, page).map_err(flash_fault)
    }

    async fn finish(&mut self, request: &EndRequest, flags: u8) -> Result<u32, Refused> {
        let result = self.node.store.borrow_mut().finish(&request.hash);
        let generation = result.map_err(|error| match error {
            FinishError::NotBegun => Refusal::NoTransfer.into(),
            FinishError::Image => Refusal::ImageRefused.into(),
            FinishError::Flash(fault) => flash_fault(fault),
        })?;
        let vouched = flags & flag::CONFIRM != 0;
        self.node.shared.confirm_next.set(vouched.then_some(generation));
        Ok(generation)
    }

    fn start(&mut self) {
        self.node.shared.change.signal(Change::Apply);
    }

    async fn secret(&mut self, name: &str, value: &[u8]) -> Result<bool, Refused> {
        self.node.store.borrow_mut().put_secret(name, value).map_err(|error| match error {
            SecretError::TooLong => Refusal::SecretTooLong.into(),
            SecretError::Flash(fault) => flash_fault(fault),
        })
    }

    fn pull(&mut self, offset: u32, buffer: &mut [u8]) -> Result<Pulled, Refused> {
        let read = self.node.store.borrow_mut().read_image(offset, buffer).map_err(flash_fault)?;
        let (len, header) = read.ok_or(Refusal::NothingStored)?;
        Ok(Pulled { len, length: header.image_len(), hash_prefix: PullReply::prefix(&header.hash) })
    }

    fn info_count(&self) -> u16 {
        FACTS
            + self
                .with_config(|config| config.sensors.len())
                .and_then(|count| u16::try_from(count).ok())
                .unwrap_or(0)
    }

    fn info(&mut self, index: u16) -> Option<(&str, Value<'_>)> {
        let shared = &self.node.shared;
        let counters = &shared.counters;
        let (running, samples) = (self.running(), shared.samples.get());
        let text = |out: &mut String<TEXT_LEN>, write: &dyn Fn(&mut Text<'_>)| {
            let mut buffer = [0; TEXT_LEN];
            let mut text = Text::new(&mut buffer);
            write(&mut text);
            let len = text.finish().unwrap_or(0);
            out.clear();
            let _ =
                out.push_str(core::str::from_utf8(buffer.get(..len).unwrap_or_default()).unwrap_or_default());
        };
        let count = |value: u32| Value::Unsigned(value.into());
        Some(match index {
            0 => {
                let name =
                    self.with_config(|config| String::try_from(config.device.name).unwrap_or_default());
                self.text = name.unwrap_or_default();
                ("device", if self.text.is_empty() { Value::Null } else { Value::Text(&self.text) })
            }
            1 => ("firmware", Value::Text(env!("CARGO_PKG_VERSION"))),
            2 => {
                text(&mut self.text, &|text| text.hex(&shared.boot.chip_id.to_be_bytes()));
                ("chip", Value::Text(&self.text))
            }
            3 => {
                text(&mut self.text, &|text| text.hex(&running.hash));
                ("hash", if running.generation == 0 { Value::Null } else { Value::Text(&self.text) })
            }
            4 => {
                ("generation", if running.generation == 0 { Value::Null } else { count(running.generation) })
            }
            5 => ("state", Value::Text(state_name(&running))),
            6 => {
                ("waits-for", shared.obstacle.get().map_or(Value::Null, |reason| Value::Text(reason.name())))
            }
            7 => (
                "rollback",
                running.rolled_back.map_or(Value::Null, |(_, reason)| {
                    Value::Text(reason.map_or("unknown", |reason| reason.name()))
                }),
            ),
            8 => ("reset-cause", Value::Text(reset_name(shared.boot.cause))),
            9 => ("uptime", Value::Float(shared.boot.uptime_ms(Instant::now()) as f32 / 1000.0)),
            10 => ("published", count(counters.published.get())),
            11 => ("dropped", count(shared.outbox.borrow().dropped())),
            12 => ("connections", count(counters.connections.get())),
            13 => ("dead-links", count(counters.dead_links.get())),
            14 => ("faults", count(samples.faults)),
            15 => ("lateness-p99-ms", count(samples.lateness_p99_ms)),
            17..=21 => {
                let condition = self.node.system.borrow().condition();
                condition_fact(&condition, Instant::now() - shared.boot.at, index)
            }
            16 => match shared.boot.crash {
                None => ("crash", Value::Null),
                Some(crash) => {
                    text(&mut self.text, &|text| crash.render(text));
                    ("crash", Value::Text(&self.text))
                }
            },
            22 => {
                let chip = self.node.system.borrow().condition().flash;
                text(&mut self.text, &|text| chip.render(text));
                ("flash", Value::Text(&self.text))
            }
            _ => {
                let sensor = usize::from(index - FACTS);
                let id = self.with_config(|config| {
                    config.sensors.get(sensor).and_then(|sensor| String::<TEXT_LEN>::try_from(sensor.id).ok())
                });
                let id = id.flatten()?;
                self.name.clear();
                let _ = self.name.push_str("health.");
                let _ = self.name.push_str(&id);
                (&self.name, Value::Text(shared.health.borrow().get(sensor).name()))
            }
        })
    }

    async fn read(&mut self, request: &ReadRequest<'_>) -> Result<u8, Refused> {
        self.measured = None;
        let Some(id) = request.sensor else {
            let measured = self.measure_unnamed(request).await?;
            self.measured = Some(measured);
            return Ok(self.item_count());
        };
        let found = self.with_config(|config| {
            let index = config.sensors.iter().position(|sensor| sensor.id == id)?;
            config.sensors.get(index).map(|sensor| (index, sensor.driver))
        });
        let (index, driver) = match found {
            _ if self.running().generation == 0 => return Err(Refusal::NothingStored.into()),
            found => found.flatten().ok_or(Refusal::NoSuchSensor)?,
        };
        let shared = &self.node.shared;
        if !shared.measurement.ask(Asker::Usb, u8::try_from(index).unwrap_or(u8::MAX)) {
            return Err(Refusal::Busy.into());
        }
        shared.measured.reset();
        shared.sampler.signal(());
        let done = with_timeout(MEASURE_TIMEOUT, shared.measured.wait()).await;
        let measured = shared.measurement.take(Asker::Usb);
        match (done, measured) {
            (Ok(()), Some(measured)) => self.measured = Some((driver, measured)),
            _ => return Err(Refusal::SensorFault.into()),
        }
        Ok(self.item_count())
    }

    fn read_item(&self, index: u8) -> Option<ReadItem<'_>> {
        let (driver, measured) = self.measured.as_ref()?;
        let item = ReadItem {
            index,
            count: self.item_count(),
            health: measured.health.name(),
            name: None,
            raw: None,
            filtered: None,
            unit: None,
        };
        let mut readings = driver.info().readings.iter().zip(measured.raw.iter().zip(&measured.filtered));
        let finite = |value: f32| value.is_finite().then_some(value);
        let found = readings.by_ref().filter(|(_, (raw, _))| raw.is_finite()).nth(index.into());
        Some(found.map_or(item, |(reading, (raw, filtered))| ReadItem {
            name: Some(reading.name),
            raw: finite(*raw),
            filtered: finite(*filtered),
            unit: (!reading.unit.is_empty()).then_some(reading.unit),
            ..item
        }))
    }

    async fn probe(&mut self, sda: u8, scl: u8) -> Result<Probed, Refused> {
        let pins = usable_pins(sda, scl)?;
        let mut addresses = Vec::new();
        for address in 0x08..=0x77 {
            match answers(&mut self.node.i2c.borrow_mut().bus(pins), address) {
                Some(true) => {
                    let _ = addresses.push(address);
                }
                Some(false) => {}
                None => return Ok(Probed { bus: bus::SDA_LOW, addresses: Vec::new() }),
            }
            embassy_futures::yield_now().await;
        }
        Ok(Probed { bus: bus::FREE, addresses })
    }

    fn monitor(&mut self, what: u8) {
        self.node.shared.events.want(what);
    }

    async fn rollback(&mut self) -> Result<Option<u32>, Refused> {
        let rolled_back = self.node.store.borrow_mut().roll_back(Reason::Requested).map_err(flash_fault)?;
        if !rolled_back {
            return Err(Refusal::NothingToRollBack.into());
        }
        self.node.shared.change.signal(Change::Apply);
        Ok(None)
    }

    async fn erase(&mut self, selection: u8) -> Result<(), Refused> {
        let mut store = self.node.store.borrow_mut();
        if selection & what::CONFIGURATIONS != 0 {
            store.erase_slots().map_err(flash_fault)?;
        }
        if selection & what::SECRETS != 0 {
            store.erase_secrets().map_err(flash_fault)?;
        }
        self.node.shared.change.signal(Change::Apply);
        Ok(())
    }

    fn restart(&mut self) {
        self.node.shared.change.signal(Change::Restart);
    }

    fn accepts_rate(&self, baud: u32) -> bool {
        self.node.system.borrow().accepts_rate(baud)
    }

    fn set_rate(&mut self, baud: u32) {
        self.node.system.borrow_mut().set_rate(baud);
    }

    async fn event(&mut self) -> usb::Event<'_> {
        let (at, event) = self.node.shared.events.next().await;
        let uptime_ms = self.node.shared.boot.uptime_ms(at);
        self.name.clear();
        match event {
            Event::Log(line) => {
                let mut buffer = [0; TEXT_LEN];
                let mut text = Text::new(&mut buffer);
                line.render(&mut text);
                let len = text.finish().unwrap_or(0);
                self.text.clear();
                let line = core::str::from_utf8(buffer.get(..len).unwrap_or_default()).unwrap_or_default();
                let _ = self.text.push_str(line);
                usb::Event::Log(LogEvent { uptime_ms, text: &self.text })
            }
            Event::Reading { sensor, reading, value } => {
                let info = self
                    .sensor_name(sensor)
                    .and_then(|driver| driver.info().readings.get(usize::from(reading)));
                let (name, unit) = info.map_or(("", ""), |info| (info.name, info.unit));
                let unit = (!unit.is_empty()).then_some(unit);
                usb::Event::Reading(ReadingEvent { uptime_ms, sensor: &self.name, name, value, unit })
            }
            Event::Health { sensor, health } => {
                self.sensor_name(sensor);
                usb::Event::Health(HealthEvent { uptime_ms, sensor: &self.name, health: health.name() })
            }
            Event::Sent { report, qos } => {
                let topic = self.with_config(|config| {
                    config.reports.get(usize::from(report)).map(|report| Topics::new(config).report(&report))
                });
                let _ = self.name.push_str(&topic.flatten().unwrap_or_default());
                usb::Event::Sent(SentEvent { uptime_ms, topic: &self.name, payload: &[], qos: qos as u8 })
            }
        }
    }
}

impl<P: Platform> HostDoor<'_, P> {
    fn item_count(&self) -> u8 {
        let count = self
            .measured
            .as_ref()
            .map_or(0, |(_, measured)| measured.raw.iter().filter(|value| value.is_finite()).count());
        u8::try_from(count).unwrap_or(u8::MAX).max(1)
    }

    /// Puts the name of a sensor where events borrow it, and returns its driver.
    fn sensor_name(&mut self, sensor: u8) -> Option<Driver> {
        let found = self.with_config(|config| {
            let sensor = config.sensors.get(usize::from(sensor))?;
            String::<TEXT_LEN>::try_from(sensor.id).ok().map(|id| (id, sensor.driver))
        });
        let (id, driver) = found.flatten()?;
        self.name = id;
        Some(driver)
    }
}

/// Returns whether a chip answers at `address`; none where the bus is stuck. Reading a byte disturbs a chip least.
fn answers<B: I2c + ClearBus>(line: &mut B, address: u8) -> Option<bool> {
    match line.read(address, &mut [0]) {
        Ok(()) => Some(true),
        Err(error) if matches!(error.kind(), ErrorKind::NoAcknowledge(_)) => Some(false),
        Err(_) => line.clear_bus().then_some(false),
    }
}

/// Returns the name and the value of a fact about the board itself.
fn condition_fact(condition: &Condition, uptime: Duration, index: u16) -> (&'static str, Value<'static>) {
    let count = |number: u32| Value::Unsigned(number.into());
    match index {
        17 => {
            let share =
                |asleep: Duration| asleep.as_micros() as f32 * 100.0 / uptime.as_micros().max(1) as f32;
            ("asleep-percent", condition.asleep.map_or(Value::Null, |asleep| Value::Float(share(asleep))))
        }
        18 => ("line-overruns", count(condition.overruns)),
        19 => ("line-framing-errors", count(condition.framing_errors)),
        20 => ("line-breaks", count(condition.breaks)),
        _ => ("entropy", Value::Text(if condition.entropy_repeats { "repeating" } else { "good" })),
    }
}

fn state_name(running: &Running) -> &'static str {
    match (running.generation, running.confirmed) {
        (0, _) => "safe-mode",
        (_, true) => "confirmed",
        (_, false) => "trial",
    }
}

const _: () = assert!(HASH_SIZE == dunlin_config_format::image::HASH_SIZE);
