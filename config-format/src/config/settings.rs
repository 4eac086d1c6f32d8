//! What is not a sensor or a report: the device, the MQTT session, and the link.

use crate::cbor::{self, Item, Reader, Writer};

/// A number that is left out of the body while it has its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Or<const DEFAULT: u32>(pub u32);

impl<const DEFAULT: u32> Or<DEFAULT> {
    /// The number where the body has none.
    pub const DEFAULT: u32 = DEFAULT;
    /// The value unless a file says otherwise.
    pub const USUAL: Self = Or(DEFAULT);

    /// Returns whether this is the default.
    pub fn is_default(&self) -> bool {
        self.0 == DEFAULT
    }
}

impl<const DEFAULT: u32> Default for Or<DEFAULT> {
    fn default() -> Self {
        Or(DEFAULT)
    }
}

impl<const DEFAULT: u32> Item<'_> for Or<DEFAULT> {
    fn read(from: &mut Reader<'_>) -> Self {
        Or(u32::read(from))
    }

    fn write(&self, to: &mut Writer<'_>) {
        self.0.write(to);
    }

    fn is_absent(&self) -> bool {
        self.is_default()
    }
}

/// Who the node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Device<'a> {
    /// Name, `[a-z0-9-]{1,32}`; part of every topic, and the MQTT client identifier unless one is given.
    pub name: &'a str,
    /// Name for people.
    pub label: Option<&'a str>,
}

cbor::map!(Device<'a> { 0 name, 1 label: optional });

/// The broker and the session with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mqtt<'a> {
    /// Host name or IPv4 address of the broker; [`Mqtt::USB_HOST`] means the computer at the other end of the cable.
    pub host: &'a str,
    /// TCP port, 1 to 65,535.
    pub port: Or<1883>,
    /// Client identifier, where it is not the device's name.
    pub client_identifier: Option<&'a str>,
    /// User name.
    pub username: Option<&'a str>,
    /// Whether the secret `mqtt.password` is sent. The image never holds it.
    pub has_password: bool,
    /// Keep alive in seconds, 5 to 65,535 (MQTT 5, section 3.1.2.10).
    pub keep_alive_s: Or<60>,
    /// Prefix of the topics that the node chooses, where it is not [`Mqtt::PREFIX`].
    pub prefix: Option<&'a str>,
    /// Seconds that a new configuration has to be confirmed, 5 to 3,600.
    pub confirm_within_s: Or<60>,
    /// Seconds between two messages of statistics; 0 switches them off.
    pub stats_every_s: Or<60>,
}

cbor::map!(Mqtt<'a> {
    0 host, 1 port: optional, 2 client_identifier: optional, 3 username: optional, 4 has_password: optional,
    5 keep_alive_s: optional, 6 prefix: optional, 7 confirm_within_s: optional, 8 stats_every_s: optional,
});

impl<'a> Mqtt<'a> {
    /// Prefix of default topics.
    pub const PREFIX: &'static str = "dunlin";
    /// The broker's name for the computer at the other end of the cable.
    pub const USB_HOST: &'static str = "usb-host";
    /// Name of the secret with the broker's password.
    pub const PASSWORD_SECRET: &'static str = "mqtt.password";

    /// Returns a session with the broker at a host, and everything else as it is unless a file says otherwise.
    pub const fn at(host: &'a str) -> Self {
        Mqtt {
            host,
            port: Or::USUAL,
            client_identifier: None,
            username: None,
            has_password: false,
            keep_alive_s: Or::USUAL,
            prefix: None,
            confirm_within_s: Or::USUAL,
            stats_every_s: Or::USUAL,
        }
    }

    /// Returns the prefix of the topics that the node chooses.
    pub fn prefix(&self) -> &'a str {
        self.prefix.unwrap_or(Self::PREFIX)
    }
}

/// How the node reaches the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Which link.
    pub kind: LinkKind,
    /// Fixed address; none means DHCP.
    pub address: Option<StaticIpv4>,
}

cbor::map!(Link { 0 kind: optional, 1 address: optional });

impl Link {
    /// Returns whether this is the link of a file that names none.
    pub fn is_default(&self) -> bool {
        *self == Link::default()
    }
}

/// Which link carries the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkKind {
    /// Packets in frames over the host's serial line.
    #[default]
    Usb,
}

cbor::number!(LinkKind { Usb });

/// A fixed IPv4 address; all fields are octets in network order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaticIpv4 {
    /// The node's address.
    pub address: [u8; 4],
    /// Length of the network's prefix, 1 to 30.
    pub prefix_len: u8,
    /// The router.
    pub gateway: Option<[u8; 4]>,
    /// The name server.
    pub dns: Option<[u8; 4]>,
}

cbor::map!(StaticIpv4 { 0 address, 1 prefix_len, 2 gateway: optional, 3 dns: optional });
