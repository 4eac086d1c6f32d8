//! A node's network stack (embassy-net) against link and gateway, on a virtual clock.

mod support;

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddrV4};

use dunlin_twin::world::network::lan::Lan;
use dunlin_twin::world::network::link::LinkSettings;
use embassy_net::dns::DnsQueryType;
use embassy_net::tcp::{ConnectError, TcpSocket};
use embassy_net::{Config, StaticConfigV4};
use embassy_time::{Duration, Instant, Timer, with_timeout};

use support::echo::Echo;
use support::session::{SERVER, dhcp, exchange, pattern, run};

fn fixed(address: [u8; 4], router: Option<[u8; 4]>) -> Config {
    Config::ipv4_static(StaticConfigV4 {
        address: embassy_net::Ipv4Cidr::new(Ipv4Addr::from(address), 24),
        gateway: router.map(Ipv4Addr::from),
        dns_servers: router.map(Ipv4Addr::from).into_iter().collect(),
    })
}

#[test]
fn dhcp_gives_address_router_and_name_server() {
    run(
        1,
        dhcp(),
        |_| {},
        async |stack| {
            stack.wait_config_up().await;
            let config = stack.config_v4().unwrap();
            assert_eq!(config.address.to_string(), "10.47.0.2/24");
            assert_eq!(config.gateway, Some(Ipv4Addr::new(10, 47, 0, 1)));
            assert_eq!(config.dns_servers.as_slice(), [Ipv4Addr::new(10, 47, 0, 1)]);
        },
    );
}

#[test]
fn the_lease_of_a_day_is_renewed() {
    let no_frames = |lan: &Lan| lan.link().counts().sent;
    let lan = run(
        1,
        dhcp(),
        |_| {},
        async |stack| {
            stack.wait_config_up().await;
            let down = with_timeout(Duration::from_secs(3 * 86_400), stack.wait_config_down());
            assert!(down.await.is_err());
        },
    );
    // Two for the address, two for each renewal after half a lease.
    assert!(no_frames(&lan) >= 6, "{:?}", lan.link().counts());
}

#[test]
fn names_are_resolved() {
    run(
        1,
        dhcp(),
        |_| {},
        async |stack| {
            stack.wait_config_up().await;
            let known = stack.dns_query("Broker.example", DnsQueryType::A).await.unwrap();
            assert_eq!(known.as_slice(), [Ipv4Addr::new(192, 0, 2, 9).into()]);
            assert!(stack.dns_query("nowhere.example", DnsQueryType::A).await.is_err());
        },
    );
}

#[test]
fn bytes_come_back_whatever_the_destination() {
    let sent = pattern(20_000);
    for (config, destination) in [
        (dhcp(), [203, 0, 113, 7]),
        (dhcp(), [10, 47, 0, 1]),
        (fixed([192, 168, 1, 50], Some([192, 168, 1, 1])), [198, 51, 100, 1]),
        (fixed([192, 168, 1, 50], None), [192, 168, 1, 10]),
    ] {
        let lan = run(
            1,
            config,
            |_| {},
            async |stack| {
                stack.wait_config_up().await;
                let received = exchange(stack, Ipv4Addr::from(destination), &sent).await;
                assert_eq!(received.as_deref(), Ok(sent.as_slice()));
            },
        );
        assert_eq!(lan.link().counts().lost, 0);
    }
}

#[test]
fn bytes_come_back_over_a_slow_and_lossy_link() {
    let sent = pattern(20_000);
    let settings = LinkSettings { delay: Duration::from_millis(30), loss: 0.1, ..LinkSettings::default() };
    let lan = run(
        3,
        dhcp(),
        |lan| lan.link().set(settings),
        async |stack| {
            stack.wait_config_up().await;
            let received = exchange(stack, SERVER, &sent).await;
            assert_eq!(received.as_deref(), Ok(sent.as_slice()));
        },
    );
    assert!(lan.link().counts().lost > 5, "{:?}", lan.link().counts());
}

/// Lets `node` have a socket, and the network be up.
fn run_with_socket(node: impl AsyncFnOnce(TcpSocket<'_>)) {
    run(
        1,
        dhcp(),
        |_| {},
        async |stack| {
            stack.wait_config_up().await;
            let (mut receive, mut send) = ([0; 512], [0; 512]);
            node(TcpSocket::new(stack, &mut receive, &mut send)).await;
        },
    );
}

#[test]
fn a_refused_connection_is_reset_at_once() {
    run_with_socket(async |mut socket| {
        let before = Instant::now();
        let refused = socket.connect((SERVER, Echo::REFUSED)).await;
        assert_eq!(refused, Err(ConnectError::ConnectionReset));
        assert!(Instant::now() - before < Duration::from_millis(20));
    });
}

#[test]
fn an_unanswered_connection_stays_open_until_the_node_gives_up() {
    run_with_socket(async |mut socket| {
        let connecting = socket.connect((SERVER, Echo::UNANSWERED));
        assert!(with_timeout(Duration::from_secs(20), connecting).await.is_err());
    });
}

#[test]
fn a_connection_that_is_accepted_late_comes_about() {
    run_with_socket(async |mut socket| {
        let before = Instant::now();
        socket.connect((SERVER, Echo::LATE)).await.unwrap();
        let took = Instant::now() - before;
        assert!(took >= Echo::DELAY && took < Echo::DELAY + Duration::from_millis(5), "{took:?}");
    });
}

#[test]
fn the_far_side_may_close_first() {
    run_with_socket(async |mut socket| {
        socket.connect((SERVER, Echo::CLOSING)).await.unwrap();
        let mut received = Vec::<u8>::new();
        let mut buffer = [0; 64];
        loop {
            let read_len = socket.read(&mut buffer).await.unwrap();
            if read_len == 0 {
                break;
            }
            received.extend(&buffer[..read_len]);
        }
        assert_eq!(received, Echo::FAREWELL);
        socket.close();
        socket.flush().await.unwrap();
    });
}

#[test]
fn a_black_hole_is_silent_and_a_link_that_is_down_is_known() {
    let settings = LinkSettings { black_hole: true, ..LinkSettings::default() };
    run(
        1,
        dhcp(),
        |lan| lan.link().set(settings),
        async |stack| {
            assert!(with_timeout(Duration::from_secs(60), stack.wait_config_up()).await.is_err());
            assert!(stack.is_link_up());
        },
    );
    let settings = LinkSettings { up: false, ..LinkSettings::default() };
    let link = RefCell::new(None);
    run(
        1,
        dhcp(),
        |lan| {
            lan.link().set(settings);
            link.replace(Some(lan.link().clone()));
        },
        async |stack| {
            Timer::after_secs(10).await;
            assert!(!stack.is_link_up() && !stack.is_config_up());
            link.borrow().as_ref().unwrap().set(LinkSettings::default());
            let up = with_timeout(Duration::from_secs(15), stack.wait_config_up());
            assert!(up.await.is_ok() && stack.is_link_up());
        },
    );
}

/// Returns the packet capture of an exchange over a lossy link.
fn capture(seed: u64) -> Vec<u8> {
    let settings = LinkSettings { loss: 0.1, delay: Duration::from_millis(5), ..LinkSettings::default() };
    let prepare = |lan: &Lan| {
        lan.link().set(settings);
        lan.link().start_capture();
    };
    let lan = run(seed, dhcp(), prepare, async |stack| {
        stack.wait_config_up().await;
        assert!(exchange(stack, SERVER, &pattern(5_000)).await.is_ok());
    });
    lan.link().take_capture()
}

#[test]
fn captures_repeat_to_the_byte_and_differ_with_the_seed() {
    let first = capture(11);
    assert_eq!(first, capture(11));
    assert_ne!(first, capture(12));
    let frames = support::pcap::frames(&first);
    assert!(frames.len() > 30, "{}", frames.len());
    for frame in &frames {
        assert!(support::pcap::checksums_are_good(frame), "{frame:02x?}");
    }
    let destination = SocketAddrV4::new(SERVER, 7);
    assert!(frames.iter().any(|frame| support::pcap::tcp_destination(frame) == Some(destination)));
}
