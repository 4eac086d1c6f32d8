//! What is not a sensor or a report: the device, the MQTT session, and the link.

use minicbor::decode::{self, Decoder};
use minicbor::encode::{self, Encoder, Write};
use minicbor::{Decode, Encode};

use crate::strict;

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

impl<const DEFAULT: u32, C> Encode<C> for Or<DEFAULT> {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
        e.u32(self.0)?.ok()
    }
}

impl<'b, const DEFAULT: u32, C> Decode<'b, C> for Or<DEFAULT> {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        d.u32().map(Or)
    }
}

/// Who the node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Device<'a> {
    /// Name, `[a-z0-9-]{1,32}`; part of every topic, and the MQTT client identifier unless one is given.
    #[n(0)]
    pub name: &'a str,
    /// Name for people.
    #[n(1)]
    pub label: Option<&'a str>,
}

/// The broker and the session with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Mqtt<'a> {
    /// Host name or IPv4 address of the broker; [`Mqtt::USB_HOST`] means the computer at the other end of the cable.
    #[n(0)]
    pub host: &'a str,
    /// TCP port, 1 to 65,535.
    #[cbor(n(1), default, skip_if = "Or::is_default")]
    pub port: Or<1883>,
    /// Client identifier, where it is not the device's name.
    #[n(2)]
    pub client_identifier: Option<&'a str>,
    /// User name.
    #[n(3)]
    pub username: Option<&'a str>,
    /// Whether the secret `mqtt.password` is sent. The image never holds it.
    #[cbor(n(4), default, skip_if = "is_false")]
    pub has_password: bool,
    /// Keep alive in seconds, 5 to 65,535 (MQTT 5, section 3.1.2.10).
    #[cbor(n(5), default, skip_if = "Or::is_default")]
    pub keep_alive_s: Or<60>,
    /// Prefix of the topics that the node chooses, where it is not [`Mqtt::PREFIX`].
    #[n(6)]
    pub prefix: Option<&'a str>,
    /// Seconds that a new configuration has to be confirmed, 5 to 3,600.
    #[cbor(n(7), default, skip_if = "Or::is_default")]
    pub confirm_within_s: Or<60>,
    /// Seconds between two messages of statistics; 0 switches them off.
    #[cbor(n(8), default, skip_if = "Or::is_default")]
    pub stats_every_s: Or<60>,
}

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Link {
    /// Which link.
    #[cbor(n(0), default, skip_if = "LinkKind::is_default", decode_with = "strict::known")]
    pub kind: LinkKind,
    /// Fixed address; none means DHCP.
    #[n(1)]
    pub address: Option<StaticIpv4>,
}

impl Link {
    /// Returns whether this is the link of a file that names none.
    pub fn is_default(&self) -> bool {
        *self == Link::default()
    }
}

/// Which link carries the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum LinkKind {
    /// Packets in frames over the host's serial line.
    #[default]
    #[n(0)]
    Usb,
}

impl LinkKind {
    fn is_default(&self) -> bool {
        *self == LinkKind::default()
    }
}

/// A fixed IPv4 address; all fields are octets in network order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct StaticIpv4 {
    /// The node's address.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub address: [u8; 4],
    /// Length of the network's prefix, 1 to 30.
    #[n(1)]
    pub prefix_len: u8,
    /// The router.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub gateway: Option<[u8; 4]>,
    /// The name server.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub dns: Option<[u8; 4]>,
}

/// For `skip_if`: booleans are false unless the body says otherwise.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the derive passes a reference")]
pub(crate) fn is_false(value: &bool) -> bool {
    !value
}
