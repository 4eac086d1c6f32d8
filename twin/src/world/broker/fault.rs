//! What can be wrong with a broker, switched by a scenario.

use super::topic;

/// Whether the broker is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presence {
    /// It serves.
    #[default]
    Serving,
    /// It is away: connections end and are refused. Sessions and retained messages outlive it, as with persistence.
    Away,
    /// It accepts connections and swallows what it is sent, but never answers.
    Mute,
}

/// The faults of a broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokerFaults {
    /// Whether the broker is there.
    pub presence: Presence,
    /// Whether every CONNECT is refused with "bad user name or password" (0x86).
    pub refuse_credentials: bool,
    /// Filters of topics that may not be published to: QoS 1 and 2 are answered with "not authorized" (0x87) in
    /// version 5; otherwise the message vanishes.
    pub refused_topics: Vec<String>,
}

impl BrokerFaults {
    pub(super) fn refuses(&self, topic: &str) -> bool {
        self.refused_topics.iter().any(|filter| topic::matches(filter, topic))
    }
}
