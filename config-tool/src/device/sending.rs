//! The pieces of an image under way: a small window, acknowledged by offset.

use std::collections::VecDeque;
use std::time::Duration;

use dunlin_config_format::message::{DataReply, DataRequest, MAX_DATA};

use super::{Failure, Outbox, Time};

/// Time without an acknowledgement after which everything unacknowledged is sent again: two frames and a reply take 45 ms,
/// an adapter keeps bytes for up to 16 ms, and a device at work on a sensor may not listen for 25 ms.
const TIMEOUT: Duration = Duration::from_millis(150);

/// How often that may happen in a row.
const TRIES: u32 = 40;

/// An image on its way.
#[derive(Debug)]
pub(super) struct Sending {
    /// Every byte before has arrived.
    acknowledged: u32,
    /// The offset to send next.
    next: u32,
    window: usize,
    /// Frame number and end of each unacknowledged piece, in the order of sending.
    under_way: VecDeque<(u8, u32)>,
    deadline: Option<Time>,
    timeouts: u32,
}

impl Sending {
    pub(super) fn new(from: u32, window: u8) -> Self {
        Sending {
            acknowledged: from,
            next: from,
            window: usize::from(window.max(1)),
            under_way: VecDeque::new(),
            deadline: None,
            timeouts: 0,
        }
    }

    pub(super) fn acknowledged(&self) -> u32 {
        self.acknowledged
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.deadline
    }

    /// Takes an acknowledgement.
    pub(super) fn take(&mut self, now: Time, number: u8, reply: &DataReply) {
        if reply.next > self.acknowledged {
            self.acknowledged = reply.next;
            self.timeouts = 0;
            self.deadline = Some(now + TIMEOUT);
        }
        self.next = self.next.max(self.acknowledged);
        let Some(place) = self.under_way.iter().position(|(sent, _)| *sent == number) else {
            // To a piece that has been sent again since: it tells nothing of what is under way now.
            return;
        };
        let reached = self.under_way.drain(..=place).next_back().is_none_or(|(_, end)| reply.next >= end);
        if !reached {
            // A piece before this one is lost: everything from there on is sent again.
            self.next = self.acknowledged;
            self.under_way.clear();
        }
    }

    /// Fills the window, after a timeout from the last acknowledged byte on.
    pub(super) fn fill(&mut self, now: Time, image: &[u8], outbox: &mut Outbox) -> Result<(), Failure> {
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            self.timeouts += 1;
            if self.timeouts > TRIES {
                return Err(Failure::NoAnswer);
            }
            self.next = self.acknowledged;
            self.under_way.clear();
            self.deadline = None;
        }
        while self.under_way.len() < self.window {
            let rest = image.get(self.next as usize..).unwrap_or_default();
            let bytes = rest.get(..MAX_DATA).unwrap_or(rest);
            if bytes.is_empty() {
                break;
            }
            let number = outbox.send(&DataRequest { offset: self.next, bytes })?;
            self.next += bytes.len() as u32;
            self.under_way.push_back((number, self.next));
            self.deadline.get_or_insert(now + TIMEOUT);
        }
        Ok(())
    }
}
