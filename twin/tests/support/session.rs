//! A node's network stack with `Echo` behind its gateway, on a virtual clock.

use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::sync::OnceLock;

use dunlin_twin::native::executor::{Executor, Rest};
use dunlin_twin::world::clock::Clock;
use dunlin_twin::world::network::gateway::GatewaySettings;
use dunlin_twin::world::network::lan::Lan;
use dunlin_twin::world::network::link::NodePort;
use dunlin_twin::world::network::upstream::Upstream;
use embassy_net::dns::DnsQueryType;
use embassy_net::tcp::{Error as TcpError, TcpSocket};
use embassy_net::{Config, DhcpConfig, Stack, StackResources};
use embassy_time::Instant;

use super::echo::Echo;
use super::pcap;

pub const HARDWARE_ADDRESS: [u8; 6] = [0x02, 0, 0, 0, 0, 1];
/// Documentation address (RFC 5737).
pub const SERVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
/// Longer than anything here takes.
const END_OF_TIME: Instant = Instant::from_secs(7 * 86_400);

/// Runs `node` beside its network stack until it ends, with `Echo` behind its gateway.
pub fn run(
    lan_seed: u64,
    config: Config,
    prepare: impl FnOnce(&Lan),
    node: impl AsyncFnOnce(Stack<'_>),
) -> Lan {
    let clock = Clock::virtual_time();
    run_with(&clock, lan_seed, config, &RefCell::new(Echo::default()), prepare, node)
}

/// Runs `node` beside its network stack until it ends.
pub fn run_with(
    clock: &Clock,
    lan_seed: u64,
    config: Config,
    upstream: &RefCell<impl Upstream>,
    prepare: impl FnOnce(&Lan),
    node: impl AsyncFnOnce(Stack<'_>),
) -> Lan {
    let (port, mut lan) = Lan::new(clock, GatewaySettings::default(), HARDWARE_ADDRESS, lan_seed);
    prepare(&lan);
    let ended = drive(clock, &mut lan, port, 7, config, upstream, END_OF_TIME, node);
    assert!(ended, "the node does not come to an end");
    lan
}

/// Runs `node` on a network that is there already, until it ends or `until`; returns whether it ended. `stack_seed` is
/// the entropy of this start.
#[expect(clippy::too_many_arguments, reason = "a board's worth of things")]
pub fn drive(
    clock: &Clock,
    lan: &mut Lan,
    port: NodePort,
    stack_seed: u64,
    config: Config,
    upstream: &RefCell<impl Upstream>,
    until: Instant,
    node: impl AsyncFnOnce(Stack<'_>),
) -> bool {
    let _entered = clock.enter();
    let mut resources = StackResources::<3>::new();
    let (stack, mut runner) = embassy_net::new(port, config, &mut resources, stack_seed);
    let mut executor = Executor::new();
    let node = executor.spawn(node(stack));
    executor.spawn(async move { runner.run().await });
    let mut standing_turns = 0;
    while !executor.is_finished(node) {
        assert_eq!(executor.run(), Ok(Rest::Waiting));
        if lan.step(clock.now(), &mut *upstream.borrow_mut()) || executor.is_woken() {
            continue;
        }
        let upstream_event = upstream.borrow().next_event();
        let next = [clock.next_alarm(), lan.next_event(), upstream_event].into_iter().flatten().min();
        let next = next.expect("the node waits for ever");
        if next > until {
            clock.wait_until(until);
            return false;
        }
        let before = clock.now();
        clock.wait_until(next);
        standing_turns = if clock.now() > before { 0 } else { standing_turns + 1 };
        assert!(standing_turns < 10, "time stands still at {before:?}");
    }
    true
}

/// Asks for an address.
pub fn dhcp() -> Config {
    Config::dhcpv4(DhcpConfig::default())
}

/// Sends `sent` to the echo at `destination` and returns what came back.
pub async fn exchange(stack: Stack<'_>, destination: Ipv4Addr, sent: &[u8]) -> Result<Vec<u8>, TcpError> {
    let (mut receive, mut send) = ([0; 1024], [0; 1024]);
    let mut socket = TcpSocket::new(stack, &mut receive, &mut send);
    socket.connect((destination, 7)).await.unwrap();
    let (mut reader, mut writer) = socket.split();
    let mut received = Vec::new();
    let writing = async {
        let mut rest = sent;
        while !rest.is_empty() {
            let written_len = writer.write(rest).await?;
            rest = &rest[written_len..];
        }
        writer.flush().await
    };
    let reading = async {
        let mut buffer = [0; 300];
        while received.len() < sent.len() {
            let read_len = reader.read(&mut buffer).await?;
            assert!(read_len > 0, "closed after {} bytes", received.len());
            received.extend(&buffer[..read_len]);
        }
        Ok::<(), TcpError>(())
    };
    let (written, read) = embassy_futures::join::join(writing, reading).await;
    written?;
    read?;
    socket.close();
    Ok(received)
}

/// Any bytes that differ from their neighbors.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 31 % 251) as u8).collect()
}

/// Returns the frames that a node sends for an address, a name and an exchange of bytes.
pub fn frames_of_an_exchange() -> &'static [Vec<u8>] {
    static FRAMES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    FRAMES.get_or_init(|| {
        let received = RefCell::new(Vec::new());
        let lan = run(
            1,
            dhcp(),
            |lan| lan.link().start_capture(),
            async |stack| {
                stack.wait_config_up().await;
                stack.dns_query("broker.example", DnsQueryType::A).await.unwrap();
                received.replace(exchange(stack, SERVER, &pattern(1_500)).await.unwrap());
            },
        );
        assert_eq!(received.borrow().len(), 1_500);
        let capture = lan.link().take_capture();
        let frames = pcap::frames(&capture).into_iter().map(<[u8]>::to_vec);
        frames.filter(|frame| frame[6..12] == HARDWARE_ADDRESS).collect()
    })
}
