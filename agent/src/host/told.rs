//! What the host is told unasked: events with their names, rendered when they go out.

use dunlin_config_format::driver::Driver;
use dunlin_config_format::message::{HealthEvent, LogEvent, ReadingEvent, SentEvent};
use dunlin_config_format::topic::Topics;
use embassy_time::Instant;
use heapless::String;

use super::{HostDoor, TEXT_LEN};
use crate::event::Event;
use crate::payload::{self, Record};
use crate::platform::Platform;
use crate::text::Text;
use crate::usb;

impl<P: Platform> HostDoor<'_, P> {
    /// Returns an event as the host is told it.
    pub(super) fn told(&mut self, at: Instant, event: Event) -> usb::Event<'_> {
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
            Event::Sent { record, qos } => {
                self.render(&record);
                let payload = self.text.as_bytes();
                usb::Event::Sent(SentEvent { uptime_ms, topic: &self.name, payload, qos: qos as u8 })
            }
        }
    }

    /// Puts the topic and the beginning of the payload of a message where events borrow them; together they fit a frame.
    fn render(&mut self, record: &Record) {
        let mut buffer = [0; TEXT_LEN];
        let written = self.node.shared.with_config(|config| {
            let report = config.reports.get(usize::from(record.report()))?;
            let topic = Topics::new(config).report(&report);
            let room = SentEvent::CONTENT_LEN.saturating_sub(topic.len()).min(TEXT_LEN);
            let mut text = Text::new(buffer.get_mut(..room)?);
            // A newer message may have taken the place of its values; then the topic alone is told.
            if let Some(values) = self.node.shared.snapshots.borrow().values(record) {
                payload::render(&mut text, config, &report, record, values);
            }
            Some((topic, text.cut()))
        });
        let (topic, len) = written.flatten().unwrap_or_default();
        self.text.clear();
        // Payloads are ASCII: identifiers, names of readings, numbers.
        let payload = core::str::from_utf8(buffer.get(..len).unwrap_or_default()).unwrap_or_default();
        let _ = self.text.push_str(payload);
        let _ = self.name.push_str(&topic);
    }

    /// Puts the name of a sensor where events borrow it, and returns its driver.
    fn sensor_name(&mut self, sensor: u8) -> Option<Driver> {
        let found = self.node.shared.with_config(|config| {
            let sensor = config.sensors.get(usize::from(sensor))?;
            String::try_from(sensor.id).ok().map(|id| (id, sensor.driver))
        });
        let (id, driver) = found.flatten()?;
        self.name = id;
        Some(driver)
    }
}
