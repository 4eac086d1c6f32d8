//! The shipping image on the emulated chip, with its network over the serial line.

use std::collections::VecDeque;

use dunlin_agent::platform::ResetCause;
use dunlin_config_format::frame::{Received, Receiver, channel};
use embassy_time::{Duration, Instant};
use rand_core::Rng;
use rand_pcg::Pcg32;

use super::deployed::{USUAL_PINS, changes, each_configuration};
use crate::chip::peripherals::rtc::Cause;
use crate::chip::time::Time;
use crate::chip::{Chip, End, Settings};
use crate::devices::nor_flash::{NorFlash, Timing};
use crate::native::board::Hardware;
use crate::world::network::link::LinkSettings;
use crate::world::network::tether::Tether;
use crate::world::network::upstream::Upstream;
use crate::world::serial_line::SerialLine;

/// How far the chip runs on its own while it is busy, before the world is looked at again.
const SLICE: Duration = Duration::from_micros(500);
/// How far the world may be ahead of a chip that is busy. A computer that is too slow for real time slows the world down;
/// else the chip would have ever more to catch up with before it answers anyone.
const LEAD: Duration = Duration::from_millis(10);

/// A chip, and the host's end of its network.
pub(super) struct ChipNode {
    chip: Chip,
    origin: Instant,
    pub(super) tether: Tether,
    frames: Receiver,
    /// What the line to the host does to packets.
    pub(super) link: LinkSettings,
    /// Whether the host carries the packets itself.
    pub(super) is_left_to_host: bool,
    delayed: VecDeque<(Instant, Vec<u8>)>,
    random: Pcg32,
    /// Changes of the flash chip when its images were looked at last.
    seen: u64,
    rate: u32,
    /// Bytes from the board that the host has not read yet.
    heard: VecDeque<u8>,
    /// Whether the straps are those of a download: the boot ROM waits for esptool.
    pub(super) is_download: bool,
}

/// What happened to a chip.
pub(super) enum Outcome {
    Running,
    PowerLost,
    Reset(ResetCause),
    Stopped(String),
}

impl ChipNode {
    pub(super) fn new(hardware: &Hardware, timing: Timing, seed: u64, random: Pcg32) -> Self {
        let origin = hardware.clock.now();
        let chip = Chip::new(Settings {
            flash: hardware.flash.clone(),
            timing,
            wiring: hardware.wiring.clone(),
            chip_id: hardware.chip_id,
            seed,
            origin,
        });
        ChipNode {
            chip,
            origin,
            tether: Tether::new(seed),
            frames: Receiver::new(),
            link: LinkSettings::default(),
            is_left_to_host: false,
            delayed: VecDeque::new(),
            random,
            seen: u64::MAX,
            rate: 0,
            heard: VecDeque::new(),
            is_download: false,
        }
    }

    /// Returns the chip's time at a moment of the world.
    fn time(&self, at: Instant) -> Time {
        Time::from_micros(at.saturating_duration_since(self.origin).as_micros())
    }

    pub(super) fn start(&mut self, now: Instant, cause: ResetCause) -> Outcome {
        let at = self.time(now);
        self.chip.skip_to(at);
        let cause = match cause {
            ResetCause::PowerOn => Cause::PowerOn,
            ResetCause::External => Cause::External,
            ResetCause::Watchdog => Cause::Watchdog,
            ResetCause::Software | ResetCause::Panic => Cause::Software,
        };
        let end = if self.is_download { self.chip.reset_to_download(cause) } else { self.chip.reset(cause) };
        match end {
            End::NotStarted(error) => Outcome::Stopped(error.0),
            _ => Outcome::Running,
        }
    }

    /// Lets the chip catch up with `now`.
    pub(super) fn run(&mut self, now: Instant, line: &SerialLine, flash: &NorFlash) -> Outcome {
        self.follow_wiring(flash);
        self.deliver(line);
        let end = self.time(now);
        let outcome = match self.chip.run_until(end) {
            End::Time => Outcome::Running,
            End::PowerLost => Outcome::PowerLost,
            End::Reset(Cause::Watchdog) => Outcome::Reset(ResetCause::Watchdog),
            End::Reset(_) => Outcome::Reset(ResetCause::Software),
            End::Stopped(text) => Outcome::Stopped(text),
            End::NotStarted(error) => Outcome::Stopped(error.0),
        };
        for sent in self.chip.take_sent() {
            let at_ns =
                sent.at.0 * 1000 / crate::chip::time::PER_MICROSECOND + self.origin.as_micros() * 1000;
            line.put_byte(at_ns, sent.byte, sent.rate);
        }
        line.count_overruns(self.chip.peripherals().uarts[0].take_lost());
        let apb = self.chip.peripherals().apb();
        let rate =
            self.chip.peripherals().uarts[0].rate(crate::chip::time::PER_MICROSECOND * 1_000_000 / apb);
        if rate != self.rate {
            self.rate = rate;
            line.set_board_rate(rate);
        }
        outcome
    }

    /// Hands the chip what is on its way to it, so that it knows when it will be woken.
    fn deliver(&mut self, line: &SerialLine) {
        line.take_arrivals(|at_ns, byte| {
            let at = Time((u128::from(at_ns) * u128::from(crate::chip::time::PER_MICROSECOND) / 1000) as u64);
            self.chip.receive(Time(at.0.saturating_sub(Time::from_micros(self.origin.as_micros()).0)), byte);
        });
    }

    /// Wires the buses that the images in flash name, as a person does who deploys them.
    fn follow_wiring(&mut self, flash: &NorFlash) {
        let changes = changes(flash);
        if changes == self.seen {
            return;
        }
        if self.seen == u64::MAX {
            self.chip.peripherals().gpio.wire(USUAL_PINS.0, USUAL_PINS.1);
        }
        self.seen = changes;
        each_configuration(flash, |config| {
            for bus in config.i2c.iter() {
                self.chip.peripherals().gpio.wire(bus.sda, bus.scl);
            }
        });
    }

    /// Reads what the board has said: packets go to the tether, everything to the host.
    fn listen(&mut self, now: Instant, line: &SerialLine) {
        let mut bytes = Vec::new();
        line.host_read(now, &mut bytes);
        self.heard.extend(&bytes);
        for byte in bytes {
            let Received::Frame(frame) = self.frames.push(byte) else { continue };
            let is_lost = self.link.black_hole
                || !self.link.up
                || self.link.loss > 0.0
                    && f64::from(self.random.next_u32()) < self.link.loss * f64::from(u32::MAX);
            if frame.channel == channel::PACKETS && !is_lost {
                self.tether.receive(&frame);
            }
        }
    }

    /// Returns which share of its time the core has slept.
    pub(super) fn asleep(&self) -> Option<f64> {
        let us = self.chip.now().micros();
        (us > 0).then(|| self.chip.slept_us() as f64 / us as f64)
    }

    /// Moves what the board has said to the host.
    pub(super) fn host_read(&mut self, bytes: &mut Vec<u8>) {
        bytes.extend(self.heard.drain(..));
    }

    /// Moves packets between the line and the upstream; returns whether anything moved.
    pub(super) fn step(&mut self, now: Instant, line: &SerialLine, upstream: &mut impl Upstream) -> bool {
        self.listen(now, line);
        // What was heard just now is the host's in the next round.
        let mut moved = !self.heard.is_empty();
        if self.is_left_to_host {
            self.deliver(line);
            return moved;
        }
        moved |= self.tether.step(now, upstream);
        if self.link.black_hole {
            self.tether.lose_packets();
        }
        while let Some(frame) = self.tether.take_frame() {
            if self.link.up {
                self.delayed.push_back((now + self.link.delay, frame.as_bytes().to_vec()));
            }
        }
        // One frame at a time, so that a command's request never waits behind packets.
        while line.host_idle_at() <= now && self.delayed.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, frame)) = self.delayed.pop_front() else { break };
            line.host_write(now, &frame);
            moved = true;
        }
        self.deliver(line);
        moved
    }

    /// Returns how far the world's time may go before the chip runs again: as far as it likes while the chip sleeps, and no
    /// further while a debugger holds it.
    pub(super) fn world_limit(&self) -> Instant {
        if self.chip.is_halted() {
            return self.chip.now().instant(self.origin);
        }
        self.chip.next_event().map_or(Instant::MAX, |at| at.instant(self.origin) + LEAD)
    }

    /// Returns the chip.
    pub(super) fn chip(&mut self) -> &mut Chip {
        &mut self.chip
    }

    /// Returns when something happens next.
    pub(super) fn next_event(&self, line: &SerialLine) -> Option<Instant> {
        let chip = self.chip.next_event().map(|at| {
            let at = at.instant(self.origin).max(self.chip.now().instant(self.origin));
            // A busy chip goes on in slices; one that sleeps is woken behind the moment.
            if self.chip.next_event() == Some(self.chip.now()) {
                at + SLICE
            } else {
                at + Duration::from_micros(1)
            }
        });
        let frame = self.delayed.front().map(|&(at, _)| at.max(line.host_idle_at()));
        let tether = self.tether.next_event().filter(|_| !self.is_left_to_host);
        [chip, tether, frame].into_iter().flatten().min()
    }
}
