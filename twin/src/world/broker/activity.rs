//! What a broker's observer sees.

use super::encode::Version;
use super::message::Qos;

/// Something that happened at the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity<'a> {
    /// A client's CONNECT was accepted.
    Connected {
        /// The client identifier.
        client: &'a str,
        /// The standard it speaks.
        version: Version,
        /// Whether an earlier session goes on.
        session_present: bool,
    },
    /// A client's CONNECT was refused.
    Refused {
        /// The client identifier, where it could be read.
        client: Option<&'a str>,
        /// The reason code, or in version 3.1.1 the return code.
        reason: u8,
    },
    /// A client's connection ended.
    Disconnected {
        /// The client identifier.
        client: &'a str,
        /// Why.
        reason: Disconnection,
    },
    /// A filter was subscribed to.
    Subscribed {
        /// The client identifier.
        client: &'a str,
        /// The topic filter.
        filter: &'a str,
        /// The granted QoS.
        qos: Qos,
    },
    /// A filter was given up.
    Unsubscribed {
        /// The client identifier.
        client: &'a str,
        /// The topic filter.
        filter: &'a str,
    },
    /// A message was accepted, also a will.
    Published {
        /// The client identifier; `None` if the world itself published.
        client: Option<&'a str>,
        /// The topic.
        topic: &'a str,
        /// The payload.
        payload: &'a [u8],
        /// The publisher's QoS.
        qos: Qos,
        /// Whether the message is retained.
        retain: bool,
    },
    /// A message was refused because of [`refused_topics`](super::BrokerFaults::refused_topics).
    PublishRefused {
        /// The client identifier.
        client: &'a str,
        /// The topic.
        topic: &'a str,
    },
    /// A message was sent to a subscriber, or is kept for it.
    Delivered {
        /// The client identifier of the subscriber.
        client: &'a str,
        /// The topic.
        topic: &'a str,
        /// The QoS of the delivery.
        qos: Qos,
    },
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disconnection {
    /// The client said goodbye.
    Normal,
    /// The client said goodbye and asked for its will, or gave a reason.
    Client(u8),
    /// The broker ended it, for this reason code.
    Broker(u8),
    /// The connection was lost.
    Lost,
}

/// Totals since the broker was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BrokerCounts {
    /// Accepted CONNECTs.
    pub connected: u64,
    /// Accepted messages by QoS, wills included.
    pub published: [u64; 3],
    /// Messages refused because of their topic.
    pub refused: u64,
    /// Messages sent to a subscriber or kept for it.
    pub delivered: u64,
    /// Messages dropped because a subscriber was away or slow.
    pub dropped: u64,
}
