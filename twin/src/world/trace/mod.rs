//! What happened in a run: the one record that the CSV output, the plot and the summary are made of.
//!
//! Whoever drives a world tells a [`Trace`] each [`Happening`] when it happens. The trace counts always; it writes CSV
//! lines if asked to ([`Trace::take_csv`] drains them in the order of their times, so that a long run needs no memory for
//! them); and it keeps a picture of bounded size for [`plot`]: with more happenings the picture gets coarser, not larger.

mod bins;
mod csv;
mod plot;

pub use plot::plot;

use bins::Bins;
use embassy_time::{Duration, Instant};

/// The longest time after which a happening is told: sensors take light in for 648 ms at most.
pub const LATE: Duration = Duration::from_secs(1);

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Happening<'a> {
    /// What a perfect sensor would show.
    Truth {
        /// The quantity, such as `illuminance`.
        quantity: &'a str,
        /// Its unit.
        unit: &'a str,
        /// Its value.
        value: f64,
    },
    /// A sensor gave a reading.
    Reading {
        /// The sensor's identifier.
        sensor: &'a str,
        /// The reading's name.
        reading: &'a str,
        /// Its unit; empty for a bare number.
        unit: &'a str,
        /// Its value.
        value: f32,
    },
    /// A sensor gives no readings, until one of it comes.
    SampleFailed {
        /// The sensor's identifier.
        sensor: &'a str,
        /// Why, such as `nack`.
        reason: &'a str,
    },
    /// A message reached the broker.
    Message {
        /// Its topic.
        topic: &'a str,
        /// Its payload.
        payload: &'a [u8],
        /// Its quality of service, 0 to 2.
        qos: u8,
        /// Whether the broker keeps it.
        retained: bool,
    },
    /// A session with the broker began or ended.
    Session {
        /// Whether it began.
        begins: bool,
    },
    /// A fault of the scenario began.
    FaultBegins {
        /// Its name.
        name: &'a str,
        /// Its kind.
        kind: &'a str,
        /// Whether an end will follow.
        lasts: bool,
        /// Whether the board has no power until then.
        cuts_power: bool,
    },
    /// A fault of the scenario ended.
    FaultEnds {
        /// Its name.
        name: &'a str,
        /// Its kind.
        kind: &'a str,
    },
    /// Flash was erased or programmed.
    Flash {
        /// Which of both.
        operation: FlashOperation,
        /// The first address.
        address: u32,
        /// How many bytes.
        len: u32,
    },
    /// The node started.
    Started {
        /// Why, such as `power-on`.
        cause: &'a str,
    },
}

/// What was done to flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashOperation {
    /// A sector was erased.
    Erase,
    /// Bytes were programmed.
    Program,
}

/// How much of what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Readings.
    pub readings: u64,
    /// Times that a sensor began to give no readings, or gave none for another reason.
    pub failures: u64,
    /// Messages at the broker.
    pub messages: u64,
    /// Bytes of their payloads.
    pub payload_bytes: u64,
    /// Sessions with the broker that began.
    pub sessions: u64,
    /// Faults that began.
    pub faults: u64,
    /// Flash sectors erased.
    pub erases: u64,
    /// Flash programming operations.
    pub programs: u64,
    /// Starts of the node.
    pub starts: u64,
}

/// What happened in a run.
#[derive(Debug, Default)]
pub struct Trace {
    counts: Counts,
    /// Lines of CSV that were not taken yet.
    csv: Option<Vec<(Instant, Vec<u8>)>>,
    series: Vec<Series>,
    topics: Vec<Lane>,
    /// When which sensor gave no readings.
    failures: Vec<Span>,
    sessions: Vec<Span>,
    faults: Vec<Span>,
    erases: Bins,
    starts: Vec<(Instant, String)>,
    end: Option<Instant>,
}

/// A line of the plot.
#[derive(Debug)]
struct Series {
    name: String,
    /// The sensor that gives it; `None` for a truth.
    sensor: Option<String>,
    unit: String,
    bins: Bins,
}

/// A row of ticks.
#[derive(Debug)]
struct Lane {
    name: String,
    bins: Bins,
}

/// Something that lasts.
#[derive(Clone, Debug)]
struct Span {
    name: String,
    from: Instant,
    to: Option<Instant>,
    /// It is over as soon as it begins.
    momentary: bool,
    /// The board has no power meanwhile.
    cuts_power: bool,
}

impl Trace {
    /// Returns an empty trace that keeps no CSV lines.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns an empty trace that writes a CSV line for each happening, the column names first.
    pub fn with_csv() -> Self {
        Self { csv: Some(vec![(Instant::MIN, csv::HEADER.as_bytes().to_vec())]), ..Self::default() }
    }

    /// Records what happened at `at`. Times must not go back; only the light that a sensor took in is told when the sensor is
    /// read, less than [`LATE`] after its time.
    pub fn add(&mut self, at: Instant, happening: Happening<'_>) {
        self.end = self.end.max(Some(at));
        if let Some(lines) = &mut self.csv {
            let mut line = Vec::new();
            csv::write_line(&mut line, at, &happening);
            lines.push((at, line));
        }
        match happening {
            Happening::Truth { quantity, unit, value } => {
                self.series(quantity, None, unit).add(at, value as f32);
            }
            Happening::Reading { sensor, reading, unit, value } => {
                self.counts.readings += 1;
                if let Some(failure) = open(&mut self.failures, sensor) {
                    failure.to = Some(at);
                }
                self.series(reading, Some(sensor), unit).add(at, value);
            }
            Happening::SampleFailed { sensor, .. } => {
                self.counts.failures += 1;
                if open(&mut self.failures, sensor).is_none() {
                    self.failures.push(Span::begin(sensor, at));
                }
                for series in self.series.iter_mut().filter(|each| each.sensor.as_deref() == Some(sensor)) {
                    series.bins.interrupt();
                }
            }
            Happening::Message { topic, payload, .. } => {
                self.counts.messages += 1;
                self.counts.payload_bytes += payload.len() as u64;
                lane(&mut self.topics, topic).add(at, 0.0);
            }
            Happening::Session { begins } => {
                self.counts.sessions += u64::from(begins);
                let open = self.sessions.last_mut().filter(|span| span.to.is_none());
                match (begins, open) {
                    (true, None) => self.sessions.push(Span::begin("session", at)),
                    (false, Some(span)) => span.to = Some(at),
                    _ => {}
                }
            }
            Happening::FaultBegins { name, lasts, cuts_power, .. } => {
                self.counts.faults += 1;
                self.faults.push(Span { momentary: !lasts, cuts_power, ..Span::begin(name, at) });
            }
            Happening::FaultEnds { name, .. } => {
                if let Some(fault) = open(&mut self.faults, name) {
                    fault.to = Some(at);
                }
            }
            Happening::Flash { operation: FlashOperation::Erase, .. } => {
                self.counts.erases += 1;
                self.erases.add(at, 0.0);
            }
            Happening::Flash { operation: FlashOperation::Program, .. } => self.counts.programs += 1,
            Happening::Started { cause } => {
                self.counts.starts += 1;
                // What was measured before the start says nothing of the time until the first reading behind it.
                for series in self.series.iter_mut().filter(|each| each.sensor.is_some()) {
                    series.bins.interrupt();
                }
                self.starts.push((at, cause.to_owned()));
            }
        }
    }

    /// Ends the run: the plot reaches to `at`, even if nothing happened lately.
    pub fn finish(&mut self, at: Instant) {
        self.end = self.end.max(Some(at));
    }

    /// Returns how much happened so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns the CSV lines since the last call that are of times before `until`, in the order of their times. Nothing must
    /// be added for such a time any more: in the midst of a run `until` is [`LATE`] ago.
    pub fn take_csv(&mut self, until: Instant) -> Vec<u8> {
        let Some(lines) = &mut self.csv else { return Vec::new() };
        lines.sort_by_key(|&(at, _)| at);
        let count = lines.partition_point(|&(at, _)| at < until);
        lines.drain(..count).flat_map(|(_, line)| line).collect()
    }

    fn series(&mut self, name: &str, sensor: Option<&str>, unit: &str) -> &mut Bins {
        let known = self.series.iter().position(|each| each.name == name && each.sensor.as_deref() == sensor);
        let index = known.unwrap_or_else(|| {
            self.series.push(Series {
                name: name.to_owned(),
                sensor: sensor.map(str::to_owned),
                unit: unit.to_owned(),
                bins: Bins::default(),
            });
            self.series.len() - 1
        });
        &mut self.series[index].bins
    }
}

impl Span {
    fn begin(name: &str, at: Instant) -> Self {
        Self { name: name.to_owned(), from: at, to: None, momentary: false, cuts_power: false }
    }
}

/// Returns the last span of this name, where it has no end yet.
fn open<'a>(spans: &'a mut [Span], name: &str) -> Option<&'a mut Span> {
    spans.iter_mut().rev().find(|span| span.name == name && span.to.is_none())
}

fn lane<'a>(lanes: &'a mut Vec<Lane>, name: &str) -> &'a mut Bins {
    let index = lanes.iter().position(|each| each.name == name).unwrap_or_else(|| {
        lanes.push(Lane { name: name.to_owned(), bins: Bins::default() });
        lanes.len() - 1
    });
    &mut lanes[index].bins
}
