//! The agent compiled natively, on a board of host parts.

use std::cell::Cell;
use std::rc::Rc;

use dunlin_agent::tether::Tether;
use dunlin_agent::{Exit, Memory, network, run};
use dunlin_config_format::packet::NODE_ADDRESS;
use embassy_net_driver::Driver;
use embassy_time::Instant;

use crate::native::board::{Hardware, NativeBoard};
use crate::native::executor::{Executor, Spinning};
use crate::native::pair::first_of;
use crate::world::clock::Clock;
use crate::world::network::gateway::GatewaySettings;
use crate::world::network::lan::Lan;
use crate::world::network::link::NodePort;

/// A native board's processor and network.
pub(super) struct NativeNode {
    pub(super) lan: Lan,
    port: NodePort,
    executor: Executor<'static>,
    exit: Rc<Cell<Option<Exit>>>,
    /// Whether the network goes over the serial line.
    pub(super) is_tethered: bool,
}

impl NativeNode {
    pub(super) fn new(clock: &Clock, seed: u64) -> Self {
        let (port, lan) = Lan::new(clock, GatewaySettings::default(), NODE_ADDRESS, seed);
        NativeNode { lan, port, executor: Executor::new(), exit: Rc::default(), is_tethered: false }
    }

    /// Dropping the agent is what a power cut does to it.
    pub(super) fn stop(&mut self) {
        self.executor = Executor::new();
        self.exit.set(None);
        self.lan.lose_node();
    }

    pub(super) fn start(&mut self, hardware: &Hardware, now: Instant) {
        hardware.line.restart_board(now);
        let (board, port, exit) = (hardware.clone(), self.port.clone(), Rc::clone(&self.exit));
        let is_tethered = self.is_tethered;
        self.executor.spawn(async move {
            exit.set(Some(if is_tethered {
                let tether = Box::new(Tether::new());
                live(board, tether.driver(), Some(&tether)).await
            } else {
                live(board, port, None).await
            }));
        });
    }

    pub(super) fn run(&mut self) -> Result<(), Spinning> {
        self.executor.run().map(|_| ())
    }

    pub(super) fn is_woken(&self) -> bool {
        self.executor.is_woken()
    }

    /// Returns whether the agent has asked for a restart.
    pub(super) fn take_exit(&mut self) -> bool {
        self.exit.take() == Some(Exit::Restart)
    }
}

/// Runs the agent on a board whose network goes over `device`.
async fn live(board: Hardware, device: impl Driver, tether: Option<&Tether>) -> Exit {
    let mut resources = Box::new(network::Resources::new());
    let mut memory = Box::new(Memory::new());
    let (network, mut runner) = network::new(device, &mut resources, board.entropy());
    first_of(run(NativeBoard(board), network, tether, &mut memory), runner.run()).await
}
