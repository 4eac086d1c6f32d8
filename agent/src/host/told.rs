//! What the host is told unasked: events with their names, rendered when they go out.

use dunlin_config_format::driver::Driver;
use dunlin_config_format::message::{HealthEvent, LogEvent, ReadingEvent, SentEvent};
use dunlin_config_format::topic::{Topic, Topics};
use embassy_time::Instant;

use super::{HostDoor, TEXT_LEN};
use crate::event::Event;
use crate::payload::{self, Record};
use crate::platform::Platform;
use crate::text::Text;
use crate::usb;

impl<P: Platform> HostDoor<'_, P> {
    /// Tells an event as the host is told it.
    pub(super) fn told<R>(&self, at: Instant, event: Event, tell: impl FnOnce(usb::Event<'_>) -> R) -> R {
        let uptime_ms = self.node.shared.boot.uptime_ms(at);
        let mut buffer = [0; TEXT_LEN];
        let mut text = Text::new(&mut buffer);
        match event {
            Event::Log(line) => {
                line.render(&mut text);
                tell(usb::Event::Log(LogEvent { uptime_ms, text: text.written() }))
            }
            Event::Reading { sensor, reading, value } => {
                let driver = self.name(sensor, &mut text);
                let readings = driver.map_or(&[][..], |driver| driver.info().readings);
                let info = readings.get(usize::from(reading));
                let (name, unit) = info.map_or(("", ""), |info| (info.name, info.unit));
                let unit = (!unit.is_empty()).then_some(unit);
                let sensor = text.written();
                tell(usb::Event::Reading(ReadingEvent { uptime_ms, sensor, name, value, unit }))
            }
            Event::Health { sensor, health } => {
                self.name(sensor, &mut text);
                let (sensor, health) = (text.written(), health.name());
                tell(usb::Event::Health(HealthEvent { uptime_ms, sensor, health }))
            }
            Event::Sent { record, qos } => {
                let topic = self.render(&record, &mut text).unwrap_or_default();
                // Payloads are ASCII: identifiers, names of readings, numbers.
                let room = SentEvent::CONTENT_LEN.saturating_sub(topic.len());
                let payload = text.written().as_bytes();
                let payload = payload.get(..room).unwrap_or(payload);
                tell(usb::Event::Sent(SentEvent { uptime_ms, topic: &topic, payload, qos: qos as u8 }))
            }
        }
    }

    /// Writes the beginning of a message's payload, and returns its topic.
    fn render(&self, record: &Record, text: &mut Text<'_>) -> Option<Topic> {
        let topic = self.node.shared.with_config(|config| {
            let report = config.reports.get(usize::from(record.report()))?;
            // A newer message may have taken the place of its values; then the topic alone is told.
            if let Some(values) = self.node.shared.snapshots.borrow().values(record) {
                payload::render(text, config, &report, record, values);
            }
            Some(Topics::new(config).report(&report))
        });
        topic.flatten()
    }

    /// Writes the name of a sensor, and returns its driver.
    fn name(&self, sensor: u8, text: &mut Text<'_>) -> Option<Driver> {
        let driver = self.node.shared.with_config(|config| {
            let sensor = config.sensors.get(usize::from(sensor))?;
            text.str(sensor.id);
            Some(sensor.driver)
        });
        driver.flatten()
    }
}
