//! A TCP port at which GDB finds a simulated chip. Meant for loopback: it asks nobody for a password.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;

use super::wait::WaitSet;
use crate::chip::Chip;
use crate::chip::gdb::Gdb;

/// A listening socket, and the GDB that has connected.
pub struct GdbServer {
    listener: TcpListener,
    address: SocketAddr,
    client: Option<(TcpStream, Gdb)>,
}

impl GdbServer {
    /// Listens on `address`; port 0 takes any free one.
    ///
    /// # Errors
    /// Where the port is taken or not allowed.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(GdbServer { listener, address, client: None })
    }

    /// Returns where GDB connects.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Moves what can be moved without waiting; returns whether the chip may go on differently now. One GDB at a time: the
    /// next one waits.
    pub fn step(&mut self, chip: &mut Chip) -> bool {
        if self.client.is_none()
            && let Ok((stream, _)) = self.listener.accept()
            && stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true)).is_ok()
        {
            self.client = Some((stream, Gdb::attach(chip)));
        }
        let Some((stream, gdb)) = &mut self.client else { return false };
        gdb.step(chip);
        let (mut buffer, mut moved) = ([0; 4096], false);
        let mut is_open = loop {
            match stream.read(&mut buffer) {
                Ok(0) => break false,
                Ok(count) => {
                    gdb.receive(chip, buffer.get(..count).unwrap_or_default());
                    moved = true;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break error.kind() == ErrorKind::WouldBlock,
            }
        };
        // Answers are short, and GDB waits for each.
        is_open &= stream.write_all(&gdb.take_outgoing()).is_ok() && !gdb.is_over();
        if !is_open {
            chip.release();
            self.client = None;
        }
        moved || !is_open
    }

    /// Adds what to wait for.
    pub fn register<'a>(&'a self, set: &mut WaitSet<'a>) {
        match &self.client {
            None => set.add_readable(self.listener.as_fd()),
            Some((stream, _)) => set.add_readable(stream.as_fd()),
        }
    }
}
