//! Host names, resolved by the system beside the loop, because its resolver blocks.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

use std::io::{Read, Write};

use crate::world::network::upstream::Resolution;

pub(super) struct Resolver {
    questions: BTreeMap<String, Receiver<Option<Ipv4Addr>>>,
    /// A byte arrives with each answer, to end a wait.
    answered: UnixStream,
    answer: UnixStream,
}

impl Resolver {
    pub(super) fn new() -> io::Result<Self> {
        let (answered, answer) = UnixStream::pair()?;
        answered.set_nonblocking(true)?;
        answer.set_nonblocking(true)?;
        Ok(Resolver { questions: BTreeMap::new(), answered, answer })
    }

    /// Asks the system once, and tells what it said when asked again.
    pub(super) fn resolve(&mut self, name: &str) -> Resolution {
        let mut rubbish = [0; 16];
        while matches!(self.answered.read(&mut rubbish), Ok(1..)) {}
        let Some(question) = self.questions.get(name) else {
            return match self.ask(name) {
                Ok(()) => Resolution::Pending,
                Err(_) => Resolution::Known(None),
            };
        };
        match question.try_recv() {
            Err(TryRecvError::Empty) => Resolution::Pending,
            Ok(address) => {
                self.questions.remove(name);
                Resolution::Known(address)
            }
            Err(TryRecvError::Disconnected) => {
                self.questions.remove(name);
                Resolution::Known(None)
            }
        }
    }

    fn ask(&mut self, name: &str) -> io::Result<()> {
        let (sender, receiver) = channel();
        let mut answer = self.answer.try_clone()?;
        let host = name.to_owned();
        thread::Builder::new().name("resolver".into()).spawn(move || {
            let addresses = (host.as_str(), 0).to_socket_addrs();
            let address = addresses.ok().into_iter().flatten().find_map(|address| match address {
                SocketAddr::V4(address) => Some(*address.ip()),
                SocketAddr::V6(_) => None,
            });
            // Nobody listens any more if the simulation has ended meanwhile.
            let _ = sender.send(address);
            let _ = answer.write(&[0]);
        })?;
        self.questions.insert(name.to_owned(), receiver);
        Ok(())
    }

    /// Returns what becomes readable with an answer.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.answered.as_fd()
    }
}
