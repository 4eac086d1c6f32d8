//! The network stack of a node: Ethernet frames below, one TCP connection above.
//!
//! The board makes the stack once, with [`new`], and drives the [`Runner`] beside the agent, with a waker of its own:
//! the stack wakes its runner on every socket operation, so the two never come to rest under a shared one. The agent
//! gives the stack its address from the configuration. The stack outlives a configuration; only a changed link or
//! address touches it.

use core::net::Ipv4Addr;

use dunlin_config_format::config::{Link, StaticIpv4};
use embassy_futures::select::select3;
use embassy_net::{ConfigV4, DhcpConfig, Ipv4Cidr, Stack, StackResources, StaticConfigV4};
use embassy_net_driver::Driver;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;

use crate::supervisor::Presence;

/// Sockets of the stack: one for DHCP, one for DNS, one for the broker.
const SOCKETS: usize = 3;

/// Memory of the stack.
pub struct Resources {
    stack: StackResources<SOCKETS>,
    calls: Calls,
}

/// What the agent says to the runner. Together, so that a [`Network`] is two words, which is passed in registers.
struct Calls {
    /// The stack has been configured.
    configured: Signal<NoopRawMutex, ()>,
    /// Whether the runner is there.
    presence: Presence,
}

impl Resources {
    /// Returns unused memory.
    pub const fn new() -> Self {
        Resources {
            stack: StackResources::new(),
            calls: Calls { configured: Signal::new(), presence: Presence::new() },
        }
    }
}

impl Default for Resources {
    fn default() -> Self {
        Resources::new()
    }
}

/// The future that moves frames between the driver and the stack. A board polls it beside the agent.
pub struct Runner<'d, D: Driver> {
    stack: embassy_net::Runner<'d, D>,
    calls: &'d Calls,
}

impl<D: Driver> Runner<'_, D> {
    /// Moves frames for ever. Dropping the future loses nothing but what is in flight.
    pub async fn run(&mut self) -> ! {
        loop {
            // embassy-net 0.9.1 wakes its runner for socket operations, but not for a new configuration: DHCP would begin
            // only with the next frame that happens to arrive.
            select3(self.stack.run(), self.calls.configured.wait(), self.calls.presence.asked()).await;
        }
    }
}

/// A handle to the stack.
#[derive(Clone, Copy)]
pub struct Network<'d> {
    stack: Stack<'d>,
    calls: &'d Calls,
}

/// Makes the network stack over `driver`, without an address.
///
/// The driver has Ethernet medium (the DHCP client of the stack knows no other). `seed` chooses port and sequence
/// numbers; two starts of one board should not share it.
pub fn new<D: Driver>(driver: D, resources: &mut Resources, seed: u64) -> (Network<'_>, Runner<'_, D>) {
    let (stack, runner) =
        embassy_net::new(driver, embassy_net::Config::default(), &mut resources.stack, seed);
    let calls = &resources.calls;
    (Network { stack, calls }, Runner { stack: runner, calls })
}

impl<'d> Network<'d> {
    /// Gives the stack the address that `link` asks for, or starts DHCP.
    pub(crate) fn configure(&self, link: Link) {
        let config = match link.address {
            None => ConfigV4::Dhcp(DhcpConfig::default()),
            Some(StaticIpv4 { address, prefix_len, gateway, dns }) => ConfigV4::Static(StaticConfigV4 {
                address: Ipv4Cidr::new(Ipv4Addr::from(address), prefix_len),
                gateway: gateway.map(Ipv4Addr::from),
                dns_servers: dns.map(Ipv4Addr::from).into_iter().collect(),
            }),
        };
        self.stack.set_config_v4(config);
        self.calls.configured.signal(());
    }

    /// Returns the node's address, once it has one.
    pub(crate) fn address(&self) -> Option<Ipv4Addr> {
        self.stack.config_v4().map(|config| config.address.address())
    }

    /// Returns the router's address, once it is known: on a tether, the computer at the other end of the cable.
    pub(crate) fn gateway(&self) -> Option<Ipv4Addr> {
        self.stack.config_v4().and_then(|config| config.gateway)
    }

    /// Returns whether the runner is there.
    pub(crate) fn presence(&self) -> &'d Presence {
        &self.calls.presence
    }

    /// Returns the stack, for sockets.
    pub(crate) fn stack(&self) -> Stack<'d> {
        self.stack
    }
}
