//! What a sample costs in polls: the chip sleeps between them, and a simulated day is made of them.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;

use dunlin_agent::{Memory, network};
use dunlin_config_format::config::QoS;
use dunlin_config_format::packet::NODE_ADDRESS;
use dunlin_twin::devices::i2c::Wiring;
use dunlin_twin::devices::nor_flash::NorFlash;
use dunlin_twin::devices::tsl2591::{Part, Tsl2591};
use dunlin_twin::native::board::{Hardware, NativeBoard};
use dunlin_twin::native::executor::Executor;
use dunlin_twin::world::broker::Broker;
use dunlin_twin::world::clock::Clock;
use dunlin_twin::world::environment::irradiance;
use dunlin_twin::world::network::gateway::GatewaySettings;
use dunlin_twin::world::network::lan::Lan;
use dunlin_twin::world::serial_line::SerialLine;
use embassy_time::Instant;
use rand_core::SeedableRng;
use rand_pcg::Pcg32;

#[expect(dead_code, reason = "of the shared support, this file uses the configurations")]
mod node_world;
use node_world::{flash_with, tutorial};

/// Until then the node gets its session and its first statistics are on their way.
const FROM_S: u64 = 100;
/// Samples that are looked at, one every 2 s.
const SAMPLES: u64 = 300;

/// Polls of the agent and of the runner of its network stack, and frames each way.
#[derive(Debug)]
struct Costs {
    agent: u64,
    runner: u64,
    sent: u64,
    received: u64,
}

/// Counts the polls of a future.
async fn counted(polls: Rc<Cell<u64>>, future: impl Future) {
    let mut future = pin!(future);
    poll_fn(|context| {
        polls.set(polls.get() + 1);
        future.as_mut().poll(context).map(|_| ())
    })
    .await;
}

/// Runs the tutorial at this quality of service.
fn costs(qos: QoS) -> Costs {
    let clock = Clock::virtual_time();
    let wiring = Wiring::new();
    wiring.with_bus(4, 5, |bus| {
        let light = |_| irradiance(284.0, 0.1);
        bus.attach(Box::new(Tsl2591::new(Part::default(), light)), Instant::from_ticks(0));
    });
    let flash = NorFlash::with_contents(flash_with(&tutorial(2_000, qos)));
    let random = Pcg32::seed_from_u64(1);
    let hardware = Hardware::new(clock.clone(), flash, wiring, SerialLine::new(), 1, random);
    let _entered = clock.enter();
    let (port, mut lan) = Lan::new(&clock, GatewaySettings::default(), NODE_ADDRESS, 1);
    let (mut resources, mut memory) = (network::Resources::new(), Memory::new());
    let (network, mut runner) = network::new(port, &mut resources, 1);
    let (agent_polls, runner_polls) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let mut executor = Executor::new();
    let agent = dunlin_agent::run(NativeBoard(hardware.clone()), network, None, &mut memory);
    executor.spawn(counted(Rc::clone(&agent_polls), agent));
    executor.spawn(counted(Rc::clone(&runner_polls), async { runner.run().await }));
    let mut broker = Broker::new();
    let mut run_until = |end: Instant| {
        while clock.now() < end {
            hardware.line.advance(clock.now());
            executor.run().unwrap();
            hardware.line.host_read(clock.now(), &mut Vec::new());
            if lan.step(clock.now(), &mut broker) || executor.is_woken() {
                continue;
            }
            let next = [clock.next_alarm(), lan.next_event(), hardware.line.next_event()];
            clock.wait_until(next.into_iter().flatten().min().unwrap().min(end));
        }
        let counts = lan.link().counts();
        [agent_polls.get(), runner_polls.get(), counts.sent, counts.received]
    };
    let before = run_until(Instant::from_secs(FROM_S));
    let after = run_until(Instant::from_secs(FROM_S + 2 * SAMPLES));
    let [agent, runner, sent, received] = std::array::from_fn(|index| after[index] - before[index]);
    Costs { agent, runner, sent, received }
}

/// Returns whether `count` is `each` for a sample, and at most a quarter more for what comes less often: statistics, and the
/// repeated SUBSCRIBE.
fn is_about(count: u64, each: u64) -> bool {
    (each * SAMPLES..=each * SAMPLES * 5 / 4).contains(&count)
}

/// A sample wakes the agent twice, to start and to read, and what it sends wakes the stack's runner twice: to send, and with
/// the acknowledgement.
#[test]
fn a_sample_at_qos_0_costs_two_polls_of_each_future() {
    let costs = costs(QoS::AtMostOnce);
    assert!(is_about(costs.agent, 2) && is_about(costs.runner, 2), "{costs:?}");
    assert!(is_about(costs.sent, 1) && is_about(costs.received, 1), "{costs:?}");
}

/// The broker's answer comes with the acknowledgement of what it answers, and wakes the agent.
#[test]
fn a_sample_at_qos_1_costs_one_more() {
    let costs = costs(QoS::AtLeastOnce);
    assert!(is_about(costs.received, 1), "{costs:?}");
    assert!(is_about(costs.agent, 3), "{costs:?}");
}
