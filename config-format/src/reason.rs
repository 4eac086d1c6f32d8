//! Why a configuration is not confirmed yet, or was given up.
//!
//! The numbers are kept in flash and cross the USB line: they are never reused, new ones are added at the end.

/// What stands between a configuration and its confirmation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Reason {
    /// The network gave the node no address.
    NoAddress = 1,
    /// The broker's name could not be resolved.
    NameNotResolved = 2,
    /// The broker's host did not take the connection.
    BrokerUnreachable = 3,
    /// The broker's host took the connection, but nothing there answered as a broker.
    BrokerSilent = 4,
    /// The broker refused the user name or password.
    CredentialsRefused = 5,
    /// The broker took the session, but not the birth message: the node may not write to its topics.
    PublishRefused = 6,
    /// The broker refused the session for another reason.
    SessionRefused = 7,
    /// A part of the agent did not check in.
    PartSilent = 8,
    /// The watchdog ended the node.
    Watchdog = 9,
    /// The node panicked.
    Panic = 10,
    /// A person asked for the last configuration.
    Requested = 11,
    /// Stored, but its body could not be read by this firmware.
    Unreadable = 12,
    /// A person at the bench confirmed it, without a broker: noted beside the confirmation, which it explains.
    Vouched = 13,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Reason; 13] = [
        Reason::NoAddress,
        Reason::NameNotResolved,
        Reason::BrokerUnreachable,
        Reason::BrokerSilent,
        Reason::CredentialsRefused,
        Reason::PublishRefused,
        Reason::SessionRefused,
        Reason::PartSilent,
        Reason::Watchdog,
        Reason::Panic,
        Reason::Requested,
        Reason::Unreadable,
        Reason::Vouched,
    ];

    /// Returns the number that is stored and sent.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// Returns the reason with a number; none for a number of a later version.
    pub fn from_code(code: u16) -> Option<Reason> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// Returns the name that messages and JSON use.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::NoAddress => "no-address",
            Reason::NameNotResolved => "name-not-resolved",
            Reason::BrokerUnreachable => "broker-unreachable",
            Reason::BrokerSilent => "broker-silent",
            Reason::CredentialsRefused => "credentials-refused",
            Reason::PublishRefused => "publish-refused",
            Reason::SessionRefused => "session-refused",
            Reason::PartSilent => "part-silent",
            Reason::Watchdog => "watchdog",
            Reason::Panic => "panic",
            Reason::Requested => "requested",
            Reason::Unreadable => "unreadable",
            Reason::Vouched => "vouched",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_frozen() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(reason.code()), index + 1);
            assert_eq!(Reason::from_code(reason.code()), Some(reason));
        }
        assert_eq!(Reason::from_code(0), None);
        assert_eq!(Reason::from_code(0xffff), None);
    }
}
