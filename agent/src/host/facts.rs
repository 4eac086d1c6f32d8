//! What INFO tells: facts of the node, then the health of its sensors.

use dunlin_config_format::message::Value;
use embassy_time::{Duration, Instant};

use super::{HostDoor, TEXT_LEN};
use crate::node::{Running, Shared};
use crate::platform::{Condition, Platform, System};
use crate::text::Text;
use crate::uplink::messages::reset_name;

/// The value of a fact.
enum Fact {
    Null,
    Text(&'static str),
    /// What was written into the text.
    Written,
    Count(u32),
    Float(f32),
}

/// Finds a fact out. A text that does not stand in the program is written.
type Find = fn(&Shared, &Condition, &mut Text<'_>) -> Fact;

/// The facts of the node, each with its name.
const FACTS: &[(&str, Find)] = &[
    ("device", |shared, _, text| {
        let written = shared.with_config(|config| text.str(config.device.name));
        written.map_or(Fact::Null, |()| Fact::Written)
    }),
    ("firmware", |_, _, _| Fact::Text(env!("CARGO_PKG_VERSION"))),
    ("chip", |shared, _, text| {
        text.hex(&shared.boot.chip_id.to_be_bytes());
        Fact::Written
    }),
    ("hash", |shared, _, text| {
        let running = shared.running.get();
        text.hex(&running.hash);
        if running.generation == 0 { Fact::Null } else { Fact::Written }
    }),
    ("generation", |shared, _, _| match shared.running.get().generation {
        0 => Fact::Null,
        generation => Fact::Count(generation),
    }),
    ("state", |shared, _, _| Fact::Text(state_name(&shared.running.get()))),
    ("waits-for", |shared, _, _| {
        shared.obstacle.get().map_or(Fact::Null, |reason| Fact::Text(reason.name()))
    }),
    ("rollback", |shared, _, _| match shared.running.get().rolled_back {
        None => Fact::Null,
        Some((_, reason)) => Fact::Text(reason.map_or("unknown", |reason| reason.name())),
    }),
    ("rollback-generation", |shared, _, _| {
        let rolled_back = shared.running.get().rolled_back;
        rolled_back.map_or(Fact::Null, |(generation, _)| Fact::Count(generation))
    }),
    ("reset-cause", |shared, _, _| Fact::Text(reset_name(shared.boot.cause))),
    ("uptime", |shared, _, _| Fact::Float(shared.boot.uptime_ms(Instant::now()) as f32 / 1000.0)),
    ("published", |shared, _, _| Fact::Count(shared.counters.published.get())),
    ("dropped", |shared, _, _| Fact::Count(shared.outbox.borrow().dropped())),
    ("connections", |shared, _, _| Fact::Count(shared.counters.connections.get())),
    ("dead-links", |shared, _, _| Fact::Count(shared.counters.dead_links.get())),
    ("unanswered", |shared, _, _| Fact::Count(shared.counters.unanswered.get())),
    ("faults", |shared, _, _| Fact::Count(shared.samples.get().faults)),
    ("lateness-p99-ms", |shared, _, _| Fact::Count(shared.samples.get().lateness.p99_ms())),
    ("crash", |shared, _, text| match shared.boot.crash {
        None => Fact::Null,
        Some(crash) => {
            crash.render(text);
            Fact::Written
        }
    }),
    ("asleep-percent", |shared, condition, _| {
        let uptime = Instant::now() - shared.boot.at;
        let share = |asleep: Duration| asleep.as_micros() as f32 * 100.0 / uptime.as_micros().max(1) as f32;
        condition.asleep.map_or(Fact::Null, |asleep| Fact::Float(share(asleep)))
    }),
    ("line-overruns", |_, condition, _| Fact::Count(condition.overruns)),
    ("line-framing-errors", |_, condition, _| Fact::Count(condition.framing_errors)),
    ("line-breaks", |_, condition, _| Fact::Count(condition.breaks)),
    ("entropy", |_, condition, _| Fact::Text(if condition.entropy_repeats { "repeating" } else { "good" })),
    ("image", |_, condition, text| match condition.image {
        None => Fact::Null,
        Some(checksum) => {
            text.hex(&checksum.to_be_bytes());
            Fact::Written
        }
    }),
    ("flash", |_, condition, text| {
        condition.flash.render(text);
        Fact::Written
    }),
];

impl<P: Platform> HostDoor<'_, P> {
    /// Returns how many facts there are.
    pub(super) fn fact_count(&self) -> u16 {
        let sensors = self.node.shared.with_config(|config| config.sensors.len()).unwrap_or(0);
        u16::try_from(FACTS.len() + sensors).unwrap_or(u16::MAX)
    }

    /// Tells the name and the value of the fact at `index`.
    pub(super) fn fact<R>(&self, index: u16, tell: impl FnOnce(&str, Value<'_>) -> R) -> R {
        let index = usize::from(index);
        let mut buffer = [0; TEXT_LEN];
        let mut text = Text::new(&mut buffer);
        let Some((name, find)) = FACTS.get(index) else {
            let sensor = index - FACTS.len();
            text.str("health.");
            self.node.shared.with_config(|config| {
                text.str(config.sensors.get(sensor).map_or("", |sensor| sensor.id));
            });
            let health = self.node.shared.health.borrow().get(sensor).name();
            return tell(text.written(), Value::Text(health));
        };
        let condition = self.node.system.borrow().condition();
        let value = match find(&self.node.shared, &condition, &mut text) {
            Fact::Null => Value::Null,
            Fact::Text(text) => Value::Text(text),
            Fact::Count(count) => Value::Unsigned(count.into()),
            Fact::Float(value) => Value::Float(value),
            Fact::Written => Value::Text(text.written()),
        };
        tell(name, value)
    }
}

fn state_name(running: &Running) -> &'static str {
    match (running.generation, running.confirmed) {
        (0, _) => "safe-mode",
        (_, true) => "confirmed",
        (_, false) => "trial",
    }
}
