//! What the gateway does with a frame before its network stack sees it: DHCP and DNS are answered here, TCP connections
//! are noticed when they open.

use std::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpPacket, ArpRepr, DHCP_CLIENT_PORT, DHCP_SERVER_PORT, DhcpMessageType, DhcpOption, DhcpPacket,
    DhcpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, IpAddress, IpProtocol,
    Ipv4Packet, Ipv4Repr, TcpPacket, TcpRepr, UdpPacket, UdpRepr,
};

use super::{GatewaySettings, Query};
use crate::world::network::ETHERNET_HEADER_LEN;

/// Port of name servers (RFC 1035, section 4.2.1).
const DNS_PORT: u16 = 53;
/// Lease of an address in seconds. The node renews it after half of that.
const LEASE_S: u32 = 86_400;
/// DHCP option "domain name server" (RFC 2132, section 3.8).
const DNS_SERVER_OPTION: u8 = 6;
const HOP_LIMIT: u8 = 64;

/// What a frame from the node is to the gateway.
pub(super) enum Arrival {
    /// Nothing for the gateway.
    Ignored,
    /// The frame that answers it.
    Answered(Vec<u8>),
    /// A question for a host's address.
    Question(Query),
    /// The first segment of a TCP connection, or a repeat of it.
    Opening { node: SocketAddrV4, destination: SocketAddrV4 },
    /// Something for the network stack.
    Other,
}

/// Who sent a datagram to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parties {
    pub(super) node_hardware: EthernetAddress,
    pub(super) node: SocketAddrV4,
    pub(super) gateway: SocketAddrV4,
}

/// Tells what to do with a frame. Anything malformed is left to the network stack, which drops it.
pub(super) fn classify(settings: &GatewaySettings, frame: &[u8]) -> Arrival {
    let Ok(ethernet) = EthernetFrame::new_checked(frame) else { return Arrival::Ignored };
    match ethernet.ethertype() {
        EthernetProtocol::Arp => classify_arp(ethernet.payload()),
        EthernetProtocol::Ipv4 => {
            classify_ipv4(settings, ethernet.src_addr(), ethernet.payload()).unwrap_or(Arrival::Other)
        }
        EthernetProtocol::Ipv6 | EthernetProtocol::Unknown(_) => Arrival::Ignored,
    }
}

/// Leaves questions for the node's own address unanswered: it asks whether somebody else has it (RFC 5227, section 2.1.1).
fn classify_arp(payload: &[u8]) -> Arrival {
    let arp = ArpPacket::new_checked(payload).and_then(|packet| ArpRepr::parse(&packet));
    match arp {
        Ok(ArpRepr::EthernetIpv4 { source_protocol_addr, target_protocol_addr, .. })
            if !source_protocol_addr.is_unspecified() && source_protocol_addr != target_protocol_addr =>
        {
            Arrival::Other
        }
        _ => Arrival::Ignored,
    }
}

fn classify_ipv4(
    settings: &GatewaySettings,
    node_hardware: EthernetAddress,
    payload: &[u8],
) -> Option<Arrival> {
    let ip = Ipv4Packet::new_checked(payload).ok()?;
    match ip.next_header() {
        IpProtocol::Tcp => {
            let tcp = TcpPacket::new_checked(ip.payload()).ok()?;
            if !tcp.syn() || tcp.ack() || ip.dst_addr().is_broadcast() {
                return None;
            }
            let (repr, source, destination) = endpoints(&ip)?;
            TcpRepr::parse(&tcp, &source, &destination, &ChecksumCapabilities::default()).ok()?;
            Some(Arrival::Opening {
                node: SocketAddrV4::new(repr.src_addr, tcp.src_port()),
                destination: SocketAddrV4::new(repr.dst_addr, tcp.dst_port()),
            })
        }
        IpProtocol::Udp => {
            let udp = UdpPacket::new_checked(ip.payload()).ok()?;
            let (repr, source, destination) = endpoints(&ip)?;
            UdpRepr::parse(&udp, &source, &destination, &ChecksumCapabilities::default()).ok()?;
            let parties = Parties {
                node_hardware,
                node: SocketAddrV4::new(repr.src_addr, udp.src_port()),
                gateway: SocketAddrV4::new(repr.dst_addr, udp.dst_port()),
            };
            match udp.dst_port() {
                DHCP_SERVER_PORT => Some(answer_dhcp(settings, udp.payload()).unwrap_or(Arrival::Ignored)),
                DNS_PORT => Some(Query::parse(parties, udp.payload()).map_or(Arrival::Ignored, |query| {
                    // Only IPv4 addresses are to be had; a question for anything else has an empty answer.
                    if query.asks_for_ipv4() {
                        Arrival::Question(query)
                    } else {
                        Arrival::Answered(query.answer_empty(settings))
                    }
                })),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Returns the header of a packet whose checksum is right, and its addresses.
fn endpoints(packet: &Ipv4Packet<&[u8]>) -> Option<(Ipv4Repr, IpAddress, IpAddress)> {
    let repr = Ipv4Repr::parse(packet, &ChecksumCapabilities::default()).ok()?;
    Some((repr, IpAddress::from(repr.src_addr), IpAddress::from(repr.dst_addr)))
}

/// Offers and confirms the one address there is (RFC 2131, section 4.3).
fn answer_dhcp(settings: &GatewaySettings, payload: &[u8]) -> Option<Arrival> {
    let packet = DhcpPacket::new_checked(payload).ok()?;
    let request = DhcpRepr::parse(&packet).ok()?;
    let message_type = match request.message_type {
        DhcpMessageType::Discover => DhcpMessageType::Offer,
        DhcpMessageType::Request => {
            let wanted = request.requested_ip.unwrap_or(request.client_ip);
            let ours = request.server_identifier.is_none_or(|server| server == settings.address);
            if !ours {
                return Some(Arrival::Ignored);
            }
            if wanted == settings.node_address { DhcpMessageType::Ack } else { DhcpMessageType::Nak }
        }
        _ => return None,
    };
    let refused = message_type == DhcpMessageType::Nak;
    let dns_servers = settings.address.octets();
    let options = [DhcpOption { kind: DNS_SERVER_OPTION, data: &dns_servers }];
    let mask = u32::MAX.checked_shl(32 - u32::from(settings.prefix_len.min(32))).unwrap_or(0);
    let reply = DhcpRepr {
        message_type,
        transaction_id: request.transaction_id,
        secs: 0,
        client_hardware_address: request.client_hardware_address,
        client_ip: if refused { Ipv4Addr::UNSPECIFIED } else { request.client_ip },
        your_ip: if refused { Ipv4Addr::UNSPECIFIED } else { settings.node_address },
        server_ip: Ipv4Addr::UNSPECIFIED,
        router: (!refused).then_some(settings.address),
        subnet_mask: (!refused).then_some(Ipv4Addr::from(mask)),
        relay_agent_ip: Ipv4Addr::UNSPECIFIED,
        broadcast: request.broadcast,
        requested_ip: None,
        client_identifier: None,
        server_identifier: Some(settings.address),
        parameter_request_list: None,
        dns_servers: None,
        max_size: None,
        lease_duration: (!refused).then_some(LEASE_S),
        renew_duration: None,
        rebind_duration: None,
        additional_options: if refused { &[] } else { &options },
    };
    let mut bytes = vec![0; reply.buffer_len()];
    reply.emit(&mut DhcpPacket::new_unchecked(bytes.as_mut_slice())).ok()?;
    // A client without address that can't take unicast says so; a refusal is always broadcast (section 4.1).
    let broadcast = refused || request.broadcast;
    let (node_hardware, node) = if broadcast {
        (EthernetAddress::BROADCAST, Ipv4Addr::BROADCAST)
    } else {
        (request.client_hardware_address, settings.node_address)
    };
    let parties = Parties {
        node_hardware,
        node: SocketAddrV4::new(node, DHCP_CLIENT_PORT),
        gateway: SocketAddrV4::new(settings.address, DHCP_SERVER_PORT),
    };
    Some(Arrival::Answered(datagram(settings, parties, &bytes)))
}

/// Makes the frame that carries `payload` from the gateway to the node.
pub(super) fn datagram(settings: &GatewaySettings, parties: Parties, payload: &[u8]) -> Vec<u8> {
    let checksums = ChecksumCapabilities::default();
    let udp = UdpRepr { src_port: parties.gateway.port(), dst_port: parties.node.port() };
    let udp_len = udp.header_len() + payload.len();
    let ip = Ipv4Repr {
        src_addr: *parties.gateway.ip(),
        dst_addr: *parties.node.ip(),
        next_header: IpProtocol::Udp,
        payload_len: udp_len,
        hop_limit: HOP_LIMIT,
    };
    let ethernet = EthernetRepr {
        src_addr: EthernetAddress(settings.hardware_address),
        dst_addr: parties.node_hardware,
        ethertype: EthernetProtocol::Ipv4,
    };
    let mut frame = vec![0; ETHERNET_HEADER_LEN + ip.buffer_len() + udp_len];
    let mut ethernet_frame = EthernetFrame::new_unchecked(frame.as_mut_slice());
    ethernet.emit(&mut ethernet_frame);
    let mut packet = Ipv4Packet::new_unchecked(ethernet_frame.payload_mut());
    ip.emit(&mut packet, &checksums);
    udp.emit(
        &mut UdpPacket::new_unchecked(packet.payload_mut()),
        &IpAddress::from(ip.src_addr),
        &IpAddress::from(ip.dst_addr),
        payload.len(),
        |room| room.copy_from_slice(payload),
        &checksums,
    );
    frame
}
