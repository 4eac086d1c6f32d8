//! The table `usb`: the link over the cable.

use std::net::Ipv4Addr;

use dunlin_config_format::config::{Link, LinkKind, StaticIpv4};

use super::super::diagnostic::Code;
use super::super::keys;
use super::super::problems::Problems;
use super::super::reader::Table;
use super::table;

/// Reads the link: the address keys of `[usb]`.
pub(in super::super) fn usb(problems: &mut Problems, root: &Table<'_>) -> Link {
    let Some(usb) = table(problems, root, "usb") else { return Link::default() };
    usb.refuse_others(problems, &keys::USB.names(), keys::USB.later);
    let ip = |problems: &mut Problems, key: &str| {
        let (text, span) = usb.text(problems, key)?;
        let parsed = text.parse::<Ipv4Addr>().ok();
        if parsed.is_none() {
            problems.error(
                Code::Address,
                span,
                format!("`{key}` is \"{text}\""),
                "write an IPv4 address such as \"192.168.7.1\"",
            );
        }
        parsed.map(|address| address.octets())
    };
    let (gateway, dns) = (ip(problems, "gateway"), ip(problems, "dns"));
    let Some((text, span)) = usb.text(problems, "address") else {
        for key in ["gateway", "dns"] {
            if let Some(value) = usb.get(key) {
                problems.error(
                    Code::Address,
                    value.span(),
                    format!("`{key}` without `address`"),
                    "add `address = \"192.168.7.2/24\"`, or leave both to DHCP",
                );
            }
        }
        return Link::default();
    };
    let parsed = text.split_once('/').and_then(|(address, prefix)| {
        let address: Ipv4Addr = address.parse().ok()?;
        let prefix_len: u8 = prefix.parse().ok().filter(|prefix| (1..=30).contains(prefix))?;
        let [first, ..] = address.octets();
        (first != 0 && first != 127 && first < 224).then_some((address.octets(), prefix_len))
    });
    let Some((address, prefix_len)) = parsed else {
        problems.error(
            Code::Address,
            span,
            format!("`address` is \"{text}\""),
            "write address and length of the network's prefix, such as \"192.168.7.2/24\"",
        );
        return Link::default();
    };
    Link { kind: LinkKind::Usb, address: Some(StaticIpv4 { address, prefix_len, gateway, dns }) }
}
