//! Thin shells around the twin: sockets, pseudo-terminals, files, the wall clock. They move bytes and decide nothing.
//!
//! Nothing here blocks but [`wait::WaitSet::wait`]. A loop in real time runs what is due, lets every shell move its
//! bytes, and waits for the descriptors of all of them until the next event of the world:
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! use dunlin_twin::host::broker_server::BrokerServer;
//! use dunlin_twin::host::real_time::RealTime;
//! use dunlin_twin::host::wait::WaitSet;
//! use dunlin_twin::world::broker::Broker;
//! use dunlin_twin::world::clock::Clock;
//! use embassy_time::Duration;
//!
//! let clock = Clock::following(RealTime::new());
//! let mut broker = Broker::new();
//! let mut server = BrokerServer::bind("127.0.0.1:0".parse().unwrap())?;
//! let end = clock.now() + Duration::from_millis(5);
//! while clock.now() < end {
//!     broker.step(clock.now());
//!     if !server.step(clock.now(), &mut broker) {
//!         let mut set = WaitSet::new();
//!         server.register(&broker, &mut set);
//!         let next = [Some(end), broker.next_event(), server.next_event()].into_iter().flatten().min();
//!         set.wait(next.map(|at| at.saturating_duration_since(clock.now())))?;
//!     }
//! }
//! # Ok(())
//! # }
//! ```

#[cfg(unix)]
pub mod broker_server;
#[cfg(unix)]
pub mod gdb_server;
#[cfg(unix)]
pub mod pty;
pub mod real_time;
#[cfg(unix)]
mod resolver;
#[cfg(unix)]
pub mod streams;
#[cfg(unix)]
pub mod wait;
