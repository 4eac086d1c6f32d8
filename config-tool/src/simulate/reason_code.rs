//! What brokers say, in words.

use dunlin_twin::world::broker::Disconnection;

/// Says why a connection ended.
pub(super) fn ended(reason: Disconnection) -> String {
    match reason {
        Disconnection::Normal => "it said goodbye".to_owned(),
        Disconnection::Client(WITH_WILL) => "it said goodbye, and asked for its will".to_owned(),
        Disconnection::Client(code) => format!("it said {}", named(code)),
        Disconnection::Broker(code) => format!("the broker said {}", named(code)),
        Disconnection::Lost => "the connection was lost".to_owned(),
    }
}

/// Returns a reason code and its name (MQTT 5, section 2.4, and those of MQTT 3.1.1's CONNACK, section 3.2.2.3).
pub(super) fn named(code: u8) -> String {
    let name = NAMES.iter().find(|(known, _)| *known == code).map(|(_, name)| *name);
    name.map_or_else(|| format!("{code:#04x}"), |name| format!("{code:#04x}, {name}"))
}

/// A client's goodbye that asks for its will.
const WITH_WILL: u8 = 0x04;

const NAMES: &[(u8, &str)] = &[
    (0x01, "unacceptable protocol version"),
    (0x02, "identifier rejected"),
    (0x03, "server unavailable"),
    (0x04, "bad user name or password"),
    (0x05, "not authorized"),
    (0x80, "unspecified error"),
    (0x81, "malformed packet"),
    (0x82, "protocol error"),
    (0x83, "implementation specific error"),
    (0x84, "unsupported protocol version"),
    (0x85, "client identifier not valid"),
    (0x86, "bad user name or password"),
    (0x87, "not authorized"),
    (0x88, "server unavailable"),
    (0x89, "server busy"),
    (0x8a, "banned"),
    (0x8b, "server shutting down"),
    (0x8c, "bad authentication method"),
    (0x8d, "keep alive timeout"),
    (0x8e, "session taken over"),
    (0x8f, "topic filter invalid"),
    (0x90, "topic name invalid"),
    (0x93, "receive maximum exceeded"),
    (0x94, "topic alias invalid"),
    (0x95, "packet too large"),
    (0x96, "message rate too high"),
    (0x97, "quota exceeded"),
    (0x98, "administrative action"),
    (0x99, "payload format invalid"),
    (0x9a, "retain not supported"),
    (0x9b, "QoS not supported"),
    (0x9c, "use another server"),
    (0x9d, "server moved"),
    (0x9f, "connection rate exceeded"),
    (0xa0, "maximum connect time"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_name_is_told_with_it() {
        assert_eq!(ended(Disconnection::Broker(142)), "the broker said 0x8e, session taken over");
        assert_eq!(ended(Disconnection::Client(4)), "it said goodbye, and asked for its will");
        assert_eq!(named(0x87), "0x87, not authorized");
        assert_eq!(named(0xff), "0xff");
        assert!(NAMES.is_sorted_by_key(|(code, _)| *code));
    }
}
