//! Carries the network of the node at the other end of a line that this process holds.
//!
//! A thread of its own moves packets between the node and sockets of this computer, so that a node's connection does not wait
//! for what a command is busy with. It starts when the device has spoken the protocol, and takes nothing from a line that
//! belongs to other firmware. Unix only, as the sockets' shells.

#[cfg(not(unix))]
pub(super) use absent::Network;
#[cfg(unix)]
pub(super) use unix::Network;

#[cfg(unix)]
mod unix {
    use std::io::{self, Read, Write};
    use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
    use std::thread::{self, JoinHandle};

    use dunlin_config_format::frame::{Frame, channel};
    use dunlin_twin::host::real_time::RealTime;
    use dunlin_twin::host::streams::HostStreams;
    use dunlin_twin::host::wait::WaitSet;
    use dunlin_twin::world::clock::TimeSource;
    use dunlin_twin::world::network::gateway::GatewaySettings;
    use dunlin_twin::world::network::tether::Tether;
    use embassy_time::Duration;

    use super::super::reader::{Event, Queue};
    use crate::device::PacketFrame;

    /// The longest wait.
    const LONGEST_WAIT: Duration = Duration::from_millis(500);

    /// The network of a node, until it is dropped.
    pub(in super::super) struct Network {
        /// Dropped first, which tells the thread to end.
        frames: Option<Sender<PacketFrame>>,
        bell: UnixStream,
        thread: Option<JoinHandle<()>>,
    }

    impl Network {
        /// Starts to carry packets; frames for the node go into `queue`.
        pub(in super::super) fn start(queue: Queue) -> io::Result<Self> {
            let (bell, rings) = UnixStream::pair()?;
            bell.set_nonblocking(true)?;
            rings.set_nonblocking(true)?;
            let (sender, frames) = mpsc::channel();
            let thread = thread::spawn(move || carry(&frames, rings, &queue));
            Ok(Network { frames: Some(sender), bell, thread: Some(thread) })
        }

        /// Takes a frame of the packets channel from the node.
        pub(in super::super) fn receive(&mut self, frame: PacketFrame) {
            if let Some(frames) = &self.frames {
                let _ = frames.send(frame);
                // A full pipe rings already.
                let _ = self.bell.write(&[0]);
            }
        }

        /// Returns the frame that tells the node that its packets are no longer carried.
        pub(in super::super) fn farewell() -> Vec<u8> {
            Tether::farewell().map(|frame| frame.as_bytes().to_vec()).unwrap_or_default()
        }
    }

    impl Drop for Network {
        fn drop(&mut self) {
            self.frames = None;
            let _ = self.bell.write(&[0]);
            if let Some(thread) = self.thread.take() {
                let _ = thread.join();
            }
        }
    }

    /// Where a connection of the node goes: the other end of the cable is this computer itself.
    fn on_host(destination: SocketAddrV4) -> SocketAddr {
        let ip = if *destination.ip() == GatewaySettings::default().address {
            Ipv4Addr::LOCALHOST
        } else {
            *destination.ip()
        };
        SocketAddr::new(IpAddr::V4(ip), destination.port())
    }

    fn carry(frames: &Receiver<PacketFrame>, mut rings: UnixStream, queue: &Queue) {
        // Without descriptors left there is no network, and the line is served all the same.
        let Ok(mut streams) = HostStreams::new(Box::new(|destination| Some(on_host(destination)))) else {
            return;
        };
        let time = RealTime::new();
        // Sequence numbers need only differ from those of the last command that carried this node.
        let seed = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos() as u64);
        let mut tether = Tether::new(seed);
        loop {
            while matches!(rings.read(&mut [0; 64]), Ok(count) if count > 0) {}
            loop {
                match frames.try_recv() {
                    Ok(PacketFrame { kind, number, payload }) => {
                        tether.receive(&Frame { channel: channel::PACKETS, kind, number, payload: &payload });
                    }
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            tether.step(time.now(), &mut streams);
            while let Some(frame) = tether.take_frame() {
                if !queue.put(Event::Packet(frame.as_bytes().to_vec())) {
                    return;
                }
            }
            let now = time.now();
            let timeout = tether.next_event().map_or(LONGEST_WAIT, |at| at.saturating_duration_since(now));
            let mut set = WaitSet::new();
            streams.register(&mut set);
            set.add_readable(rings.as_fd());
            if set.wait(Some(timeout.min(LONGEST_WAIT))).is_err() {
                return;
            }
        }
    }
}

#[cfg(not(unix))]
mod absent {
    use std::io;

    use super::super::reader::Queue;
    use crate::device::PacketFrame;

    /// A network that can't be carried.
    pub(in super::super) enum Network {}

    impl Network {
        pub(in super::super) fn start(_: Queue) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(in super::super) fn receive(&mut self, _: PacketFrame) {
            match *self {}
        }

        pub(in super::super) fn farewell() -> Vec<u8> {
            Vec::new()
        }
    }
}
