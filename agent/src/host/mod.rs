//! The host's door to the node: what the USB server asks of the rest of the agent.

mod facts;
mod measure;
mod told;

use dunlin_config_format::Reason;
use dunlin_config_format::config::Config;
use dunlin_config_format::driver::Driver;
use dunlin_config_format::image::{FORMAT_VERSION, IMAGE_LEN};
use dunlin_config_format::limits::{IDENTIFIER_LEN, REPORTS, SENSORS};
use dunlin_config_format::message::{
    BeginRequest, EndRequest, HASH_SIZE, HelloBoard, HelloConfiguration, PullReply, ReadItem, ReadRequest,
    Refusal, Value, VerdictReply, VerdictRequest, flag, outcome, state, what,
};
use embassy_time::Instant;
use heapless::String;

use crate::event::Event;
use crate::node::{Change, Node, Running, Shared};
use crate::platform::{Platform, System};
use crate::sampler::Measured;
use crate::store::{Begin, BeginError, FinishError, FlashFault, SecretError};
use crate::usb::{self, Begun, Probed, Pulled, Refused};

/// Most bytes of a text that is told to the host.
const TEXT_LEN: usize = 200;

/// The node as the USB server sees it.
pub(crate) struct HostDoor<'n, P: Platform> {
    node: &'n Node<P>,
    measured: Option<(Driver, Measured)>,
    flags: u8,
}

impl<'n, P: Platform> HostDoor<'n, P> {
    /// Returns the door of `node`.
    pub(crate) fn new(node: &'n Node<P>) -> Self {
        HostDoor { node, measured: None, flags: 0 }
    }

    fn running(&self) -> Running {
        self.node.shared.running.get()
    }
}

impl Shared {
    /// Calls `read` with the running configuration.
    pub(crate) fn with_config<T>(&self, read: impl FnOnce(&Config<'_>) -> T) -> Option<T> {
        // The config loop holds a shared borrow while a configuration runs, and replaces it without waiting.
        let body = self.body.try_borrow().ok()?;
        let config = Config::decode(body.bytes.get(..body.len)?).ok()?;
        Some(read(&config))
    }
}

fn flash_fault(fault: FlashFault) -> Refused {
    Refused { refusal: Refusal::FlashFault, detail: Some(fault.address) }
}

impl<P: Platform> usb::Node for HostDoor<'_, P> {
    type Event = (Instant, Event);

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

    fn configuration<R>(&mut self, tell: impl FnOnce(HelloConfiguration<'_>) -> R) -> R {
        let running = self.running();
        let newest = self.node.store.borrow_mut().newest();
        let name: Option<String<IDENTIFIER_LEN>> =
            self.node.shared.with_config(|config| config.device.name.try_into().unwrap_or_default());
        let is_running = running.generation != 0;
        tell(HelloConfiguration {
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
            device: name.as_deref().filter(|_| is_running),
            rollback_reason: running.rolled_back.and_then(|(_, reason)| reason).map(Reason::code),
            rollback_generation: running.rolled_back.map(|(generation, _)| generation),
        })
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
            let limit_s = self.node.shared.with_config(|config| config.mqtt.confirm_within_s.0).unwrap_or(0);
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
        let is_other =
            self.node.shared.with_config(|config| config.device.name != request.device).unwrap_or(false);
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
            FinishError::Hash => Refusal::HashMismatch.into(),
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
        self.fact_count()
    }

    fn info<R>(&self, index: u16, tell: impl FnOnce(&str, Value<'_>) -> R) -> R {
        self.fact(index, tell)
    }

    async fn read(&mut self, request: &ReadRequest<'_>) -> Result<u8, Refused> {
        self.measured = None;
        self.measured = Some(match request.sensor {
            Some(id) => self.measure_named(id).await?,
            None => self.measure_unnamed(request).await?,
        });
        Ok(self.item_count())
    }

    fn read_item(&self, index: u8) -> Option<ReadItem<'_>> {
        self.measured_item(index)
    }

    async fn probe(&mut self, sda: u8, scl: u8) -> Result<Probed, Refused> {
        self.probe_bus(sda, scl).await
    }

    fn monitor(&mut self, what: u8) {
        self.node.shared.events.want(what);
    }

    async fn rollback(&mut self) -> Result<u32, Refused> {
        let rolled_back = self.node.store.borrow_mut().roll_back(Reason::Requested).map_err(flash_fault)?;
        let generation = rolled_back.ok_or(Refusal::NothingToRollBack)?;
        self.node.shared.change.signal(Change::Apply);
        Ok(generation)
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

    async fn event(&mut self) -> Self::Event {
        self.node.shared.events.next().await
    }

    fn put_into_words<R>(&self, (at, event): Self::Event, tell: impl FnOnce(usb::Event<'_>) -> R) -> R {
        self.told(at, event, tell)
    }
}

const _: () = assert!(HASH_SIZE == dunlin_config_format::image::HASH_SIZE);
