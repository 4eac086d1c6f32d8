//! From publishers to subscribers.

use std::rc::Rc;

use embassy_time::Instant;

use super::Broker;
use super::activity::Activity;
use super::message::Message;
use super::session::{Outcome, SessionNumber};

impl Broker {
    /// Retains a message if it asks for it and passes it on; returns whether anybody had subscribed to it.
    pub(super) fn route(&mut self, now: Instant, message: Message, publisher: Option<SessionNumber>) -> bool {
        let client = publisher.and_then(|number| self.sessions.get(&number));
        self.reporter.tell(
            now,
            &Activity::Published {
                client: client.map(|session| session.client.as_str()),
                topic: &message.topic,
                payload: message.payload.as_slice(),
                qos: message.qos,
                retain: message.retain,
            },
        );
        let message = Rc::new(message);
        if message.retain {
            // An empty payload takes the message away ([MQTT-3.3.1-6]).
            if message.payload.is_empty() {
                self.retained.remove(&message.topic);
            } else {
                self.retained.insert(message.topic.clone(), Rc::clone(&message));
            }
        }
        let mut wanted = false;
        for (&number, session) in &mut self.sessions {
            let Some(delivery) = session.wants(&message, publisher == Some(number)) else { continue };
            wanted = true;
            let qos = delivery.qos;
            let connection = session.connection.and_then(|number| self.connections.get_mut(&number));
            match session.deliver(delivery, connection, now) {
                Outcome::Taken => {
                    let activity =
                        Activity::Delivered { client: &session.client, topic: &message.topic, qos };
                    self.reporter.tell(now, &activity);
                }
                Outcome::Dropped => self.reporter.counts.dropped += 1,
            }
        }
        wanted
    }

    /// Publishes the will of a session if it has one that was not published.
    pub(super) fn publish_will(&mut self, now: Instant, number: SessionNumber) {
        let Some(session) = self.sessions.get_mut(&number) else { return };
        session.will_at = None;
        if let Some(will) = session.will.take() {
            self.route(now, will.message, Some(number));
        }
    }
}
