//! A board without sensors and network: the agent's USB server over the agent's slot store over a NOR flash chip that takes
//! its real time.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::pending;
use std::rc::Rc;

use dunlin_agent::store::{Begin, BeginError, FinishError, FlashFault, Loaded, SecretError, Store};
use dunlin_agent::usb::{Begun, Event, Node, Probed, Pulled, Refused};
use dunlin_config_format::limits::BODY_SIZE;
use dunlin_config_format::message::{self as m, Refusal, Value};
use dunlin_twin::world::clock::Clock;
use dunlin_twin::world::serial_line::SerialLine;
use embassy_time::{Duration, Timer};
use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

/// A page's program, as flash data sheets have it.
const PROGRAM: Duration = Duration::from_micros(800);

/// A flash chip: bits only clear, sectors erase, no word is programmed twice. Clones are the same chip.
#[derive(Clone)]
pub(crate) struct Chip {
    clock: Clock,
    erase: Duration,
    state: Rc<RefCell<State>>,
}

struct State {
    bytes: Vec<u8>,
    erases: u32,
    programs: u32,
}

impl Chip {
    pub(crate) fn new(clock: Clock, erase: Duration) -> Self {
        let state = State { bytes: vec![0xff; 1 << 20], erases: 0, programs: 0 };
        Chip { clock, erase, state: Rc::new(RefCell::new(state)) }
    }

    /// Sectors erased and pages programmed so far.
    pub(crate) fn wear(&self) -> (u32, u32) {
        let state = self.state.borrow();
        (state.erases, state.programs)
    }

    /// The image that a start would run, and its generation.
    pub(crate) fn stored(&self) -> Option<(Vec<u8>, u32)> {
        let mut store = Store::new(self.clone());
        let loaded = store.load(&mut [0; BODY_SIZE])?;
        let mut image = vec![0; 16_384];
        let (len, header) = store.read_image(0, &mut image).unwrap()?;
        assert_eq!(len as u32, header.image_len());
        image.truncate(len);
        Some((image, loaded.generation))
    }
}

impl ErrorType for Chip {
    type Error = Infallible;
}

impl ReadNorFlash for Chip {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.copy_from_slice(&self.state.borrow().bytes[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.state.borrow().bytes.len()
    }
}

impl NorFlash for Chip {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 4096;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Infallible> {
        for sector in (from..to).step_by(Self::ERASE_SIZE) {
            self.clock.block_for(self.erase);
            let mut state = self.state.borrow_mut();
            state.erases += 1;
            state.bytes[sector as usize..][..Self::ERASE_SIZE].fill(0xff);
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Infallible> {
        self.clock.block_for(PROGRAM);
        let mut state = self.state.borrow_mut();
        state.programs += 1;
        let place = &mut state.bytes[offset as usize..][..bytes.len()];
        for (old, new) in place.chunks_mut(4).zip(bytes.chunks(4)) {
            assert!(new == [0xff; 4] || old == [0xff; 4], "a word at {offset:#x} is programmed twice");
            old.copy_from_slice(new);
        }
        Ok(())
    }
}

/// The node: what a push needs of it, and something to read and to monitor.
pub(crate) struct Board {
    store: RefCell<Store<Chip>>,
    running: Option<Loaded>,
    verdicts: RefCell<u32>,
    boot_id: u32,
    monitored: u8,
    uptime_ms: u64,
    /// Whether nothing answered to the last measurement.
    is_absent: bool,
    line: SerialLine,
}

impl Board {
    pub(crate) fn start(chip: Chip, boot_id: u32, line: SerialLine) -> Self {
        let mut store = Store::new(chip);
        let running = store.load(&mut [0; BODY_SIZE]);
        let (store, verdicts) = (RefCell::new(store), RefCell::new(0));
        Board { store, running, verdicts, boot_id, monitored: 0, uptime_ms: 0, is_absent: false, line }
    }
}

fn fault(fault: FlashFault) -> Refused {
    Refused { refusal: Refusal::FlashFault, detail: Some(fault.address) }
}

impl Node for Board {
    type Event = Event<'static>;

    fn board(&self) -> m::HelloBoard<'_> {
        m::HelloBoard {
            part: 0,
            boot_id: self.boot_id,
            major: 1,
            minor: 0,
            firmware: "0.1.0",
            chip_id: 0x00c0_ffee,
            schema_low: 1,
            schema_high: 1,
            drivers: &[0, 1],
            image_limit: 7_800,
            sensor_limit: 32,
            report_limit: 64,
        }
    }

    fn configuration<R>(&mut self, tell: impl FnOnce(m::HelloConfiguration<'_>) -> R) -> R {
        let newest = self.store.borrow_mut().newest();
        tell(m::HelloConfiguration {
            part: 1,
            boot_id: self.boot_id,
            state: if self.running.is_some() { m::state::TRIAL } else { m::state::EMPTY },
            generation: self.running.map(|running| running.generation),
            active_hash: self.running.map(|running| running.hash),
            stored_hash: newest.map(|(header, _)| header.hash),
            device: self.running.map(|_| "esp8266"),
            rollback_reason: None,
            rollback_generation: None,
        })
    }

    fn verdict(&self, request: &m::VerdictRequest) -> m::VerdictReply {
        let mut verdicts = self.verdicts.borrow_mut();
        *verdicts += 1;
        let outcome = match (self.running, *verdicts) {
            (Some(running), count) if running.hash == request.hash => {
                if count < 3 {
                    m::outcome::TRIAL
                } else {
                    let mut store = self.store.borrow_mut();
                    if !store.newest().is_some_and(|(_, state)| state.confirmed) {
                        store.confirm().unwrap();
                    }
                    m::outcome::CONFIRMED
                }
            }
            _ => m::outcome::UNKNOWN,
        };
        m::VerdictReply { outcome, reason: None, elapsed_ms: None, limit_ms: Some(60_000), attempts: None }
    }

    async fn begin(&mut self, request: &m::BeginRequest<'_>) -> Result<Begun, Refused> {
        let again = request.flags & m::flag::AGAIN != 0;
        match self.store.borrow_mut().begin(request.length, &request.hash, again) {
            Ok(Begin::Ready) => Ok(Begun::Ready),
            Ok(Begin::Unchanged) => Ok(Begun::Unchanged),
            Err(BeginError::TooLong) => Err(Refusal::ImageTooLong.into()),
            Err(BeginError::Flash(at)) => Err(fault(at)),
        }
    }

    fn write_page(&mut self, offset: u32, page: &[u8]) -> Result<(), Refused> {
        self.store.borrow_mut().write_page(offset, page).map_err(fault)
    }

    async fn finish(&mut self, request: &m::EndRequest, _: u8) -> Result<u32, Refused> {
        self.store.borrow_mut().finish(&request.hash).map_err(|error| match error {
            FinishError::NotBegun => Refusal::NoTransfer.into(),
            FinishError::Image => Refusal::ImageRefused.into(),
            FinishError::Hash => Refusal::HashMismatch.into(),
            FinishError::Flash(at) => fault(at),
        })
    }

    fn start(&mut self) {
        self.running = self.store.borrow_mut().load(&mut [0; BODY_SIZE]);
        *self.verdicts.borrow_mut() = 0;
    }

    async fn secret(&mut self, name: &str, value: &[u8]) -> Result<bool, Refused> {
        self.store.borrow_mut().put_secret(name, value).map_err(|error| match error {
            SecretError::TooLong => Refusal::SecretTooLong.into(),
            SecretError::Flash(at) => fault(at),
        })
    }

    fn pull(&mut self, offset: u32, buffer: &mut [u8]) -> Result<Pulled, Refused> {
        let read = self.store.borrow_mut().read_image(offset, buffer).map_err(fault)?;
        let (len, header) = read.ok_or(Refusal::NothingStored)?;
        Ok(Pulled { len, length: header.image_len(), hash_prefix: m::PullReply::prefix(&header.hash) })
    }

    fn info_count(&self) -> u16 {
        40
    }

    fn info<R>(&self, index: u16, tell: impl FnOnce(&str, Value<'_>) -> R) -> R {
        if index == 39 {
            return tell("health.lux-1", Value::Text("ok"));
        }
        tell("fact", Value::Unsigned(index.into()))
    }

    async fn read(&mut self, request: &m::ReadRequest<'_>) -> Result<u8, Refused> {
        let is_known = request.sensor == Some("lux-1") || request.driver == Some(1);
        self.is_absent = request.sda == Some(12);
        if is_known { Ok(1) } else { Err(Refusal::NoSuchSensor.into()) }
    }

    fn read_item(&self, _: u8) -> Option<m::ReadItem<'_>> {
        if self.is_absent {
            let health = "absent";
            return Some(m::ReadItem {
                index: 0,
                count: 1,
                health,
                name: None,
                raw: None,
                filtered: None,
                unit: None,
            });
        }
        Some(m::ReadItem {
            index: 0,
            count: 1,
            health: "ok",
            name: Some("illuminance"),
            raw: Some(284.1312),
            filtered: Some(284.0),
            unit: Some("lx"),
        })
    }

    fn put_into_words<R>(&self, event: Event<'static>, tell: impl FnOnce(Event<'_>) -> R) -> R {
        tell(event)
    }

    async fn probe(&mut self, sda: u8, scl: u8) -> Result<Probed, Refused> {
        if sda == scl {
            return Err(Refusal::PinsRefused.into());
        }
        Ok(Probed { bus: m::bus::FREE, addresses: [0x29].into_iter().collect() })
    }

    fn monitor(&mut self, what: u8) {
        self.monitored = what;
    }

    async fn rollback(&mut self) -> Result<u32, Refused> {
        Err(Refusal::NothingToRollBack.into())
    }

    async fn erase(&mut self, _: u8) -> Result<(), Refused> {
        self.running = None;
        self.store.borrow_mut().erase_slots().map_err(fault)
    }

    fn restart(&mut self) {}

    fn accepts_rate(&self, baud: u32) -> bool {
        baud <= 921_600
    }

    fn set_rate(&mut self, baud: u32) {
        self.line.set_board_rate(baud);
    }

    async fn event(&mut self) -> Event<'static> {
        if self.monitored & m::monitor::READINGS == 0 {
            pending().await
        }
        Timer::after_millis(20).await;
        self.uptime_ms += 20;
        let uptime_ms = self.uptime_ms;
        Event::Reading(m::ReadingEvent {
            uptime_ms,
            sensor: "lux-1",
            name: "illuminance",
            value: 284.1312,
            unit: Some("lx"),
        })
    }
}
