//! Records on their way to the broker.
//!
//! The outbox keeps records, not rendered packets, until their operation is acknowledged. It never blocks the sampler:
//! when it is full, the oldest record makes room and is counted.

use dunlin_config_format::config::QoS;
use heapless::{Deque, Vec};

/// Most records that wait or are in flight.
pub(crate) const OUTBOX_SIZE: usize = 64;
/// Most records in flight at once. The MQTT session keeps their packets until they are acknowledged.
pub(crate) const IN_FLIGHT: usize = 4;

/// Records in order of their making; `R` is the record, `O` the handle of an operation in flight.
#[derive(Debug)]
pub struct Outbox<R, O> {
    entries: Deque<Entry<R>, OUTBOX_SIZE>,
    /// The operations in flight. Apart from the records, of which few have one.
    operations: Vec<Option<O>, IN_FLIGHT>,
    /// Entries that have left, wrapping around: the place of the first one that is there.
    removed: u32,
    dropped: u32,
}

/// A record to publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Next<R> {
    /// The record.
    pub(crate) record: R,
    /// Its quality of service.
    pub(crate) qos: QoS,
    /// Names it, whatever leaves or joins the outbox meanwhile.
    place: u32,
}

#[derive(Debug)]
struct Entry<R> {
    record: R,
    qos: QoS,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting,
    /// In flight; the place of its operation.
    InFlight(u8),
    Done,
}

impl<R: Copy, O: Copy> Outbox<R, O> {
    /// Returns an empty outbox.
    pub(crate) const fn new() -> Self {
        Outbox { entries: Deque::new(), operations: Vec::new(), removed: 0, dropped: 0 }
    }

    /// Adds a record; the oldest makes room where there is none.
    pub(crate) fn push(&mut self, record: R, qos: QoS) {
        if self.entries.is_full() {
            self.remove_first();
            self.dropped = self.dropped.saturating_add(1);
        }
        // Cannot fail: there is room for one.
        let _ = self.entries.push_back(Entry { record, qos, state: State::Waiting });
    }

    /// Returns the record to publish next, where one may be: at most [`IN_FLIGHT`] at once, and one of QoS 2
    /// (the session's quota counts those wrongly).
    pub(crate) fn next(&self) -> Option<Next<R>> {
        let in_flight = |entry: &Entry<R>| matches!(entry.state, State::InFlight(_));
        if self.in_flight() >= IN_FLIGHT {
            return None;
        }
        let is_waiting = |(_, entry): &(u32, &Entry<R>)| matches!(entry.state, State::Waiting);
        let (index, entry) = (0..).zip(self.entries.iter()).find(is_waiting)?;
        let exactly_once = |entry: &Entry<R>| entry.qos == QoS::ExactlyOnce;
        if exactly_once(entry) && self.entries.iter().any(|other| in_flight(other) && exactly_once(other)) {
            return None;
        }
        Some(Next { record: entry.record, qos: entry.qos, place: self.removed.wrapping_add(index) })
    }

    /// Marks a record: in flight as `operation`, or done where there is none to wait for. One that has made room meanwhile is
    /// counted as dropped already.
    pub(crate) fn sent(&mut self, next: &Next<R>, operation: Option<O>) {
        if self.entry(next).is_some() {
            let state = operation.map_or(State::Done, |operation| self.keep(operation));
            if let Some(entry) = self.entry(next) {
                entry.state = state;
            }
        }
        self.remove_done();
    }

    /// Keeps an operation; there is room, because a record is offered only while fewer are in flight.
    fn keep(&mut self, operation: O) -> State {
        let free = (0..).zip(&mut self.operations).find(|(_, place)| place.is_none());
        if let Some((index, place)) = free {
            *place = Some(operation);
            return State::InFlight(index);
        }
        let index = self.operations.len() as u8;
        if self.operations.push(Some(operation)).is_ok() { State::InFlight(index) } else { State::Waiting }
    }

    /// Marks a record as one that can never be sent.
    pub(crate) fn skip(&mut self, next: &Next<R>) {
        if self.entry(next).is_some() {
            self.dropped = self.dropped.saturating_add(1);
        }
        self.sent(next, None);
    }

    /// Returns the entry of a record that is still there.
    fn entry(&mut self, next: &Next<R>) -> Option<&mut Entry<R>> {
        let index = usize::try_from(next.place.wrapping_sub(self.removed)).ok()?;
        self.entries.iter_mut().nth(index)
    }

    /// Asks `fate` about every operation in flight and tells `done` what has been acknowledged; returns how many.
    pub(crate) fn settle(&mut self, fate: impl Fn(&O) -> Fate, mut done: impl FnMut(R, QoS)) -> u32 {
        let mut acknowledged = 0;
        for entry in self.entries.iter_mut() {
            let State::InFlight(place) = entry.state else { continue };
            let Some(operation) = self.operations.get_mut(usize::from(place)) else { continue };
            match operation.as_ref().map_or(Fate::Lost, &fate) {
                Fate::Pending => continue,
                Fate::Acknowledged => {
                    entry.state = State::Done;
                    acknowledged += 1;
                    done(entry.record, entry.qos);
                }
                Fate::Lost => entry.state = State::Waiting,
            }
            *operation = None;
        }
        self.remove_done();
        acknowledged
    }

    /// Drops what must not wait for a connection: records of QoS 0.
    pub(crate) fn disconnected(&mut self) {
        let mut lost = 0u32;
        for entry in self.entries.iter_mut() {
            if entry.qos == QoS::AtMostOnce && matches!(entry.state, State::Waiting) {
                entry.state = State::Done;
                lost += 1;
            }
        }
        self.dropped = self.dropped.saturating_add(lost);
        self.remove_done();
    }

    /// Empties the outbox for another configuration; what had not been acknowledged is counted.
    pub(crate) fn clear(&mut self) {
        let waiting = self.entries.iter().filter(|entry| !matches!(entry.state, State::Done)).count();
        self.dropped = self.dropped.saturating_add(u32::try_from(waiting).unwrap_or(u32::MAX));
        self.removed = self.removed.wrapping_add(u32::try_from(self.entries.len()).unwrap_or(0));
        self.entries.clear();
        self.operations.clear();
    }

    /// Returns whether everything has been acknowledged.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns how many records are in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.operations.iter().flatten().count()
    }

    /// Returns how many records were dropped since start.
    pub(crate) fn dropped(&self) -> u32 {
        self.dropped
    }

    // A record in the middle that is done keeps its place until those before it are done, so that order is kept.
    fn remove_done(&mut self) {
        while self.entries.front().is_some_and(|entry| matches!(entry.state, State::Done)) {
            self.remove_first();
        }
    }

    fn remove_first(&mut self) {
        let Some(entry) = self.entries.pop_front() else { return };
        self.removed = self.removed.wrapping_add(1);
        if let State::InFlight(place) = entry.state
            && let Some(operation) = self.operations.get_mut(usize::from(place))
        {
            *operation = None;
        }
    }
}

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The broker has not answered yet.
    Pending,
    /// The broker has it.
    Acknowledged,
    /// The session gave it up; it must be published again.
    Lost,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes the next record and marks it.
    fn send(outbox: &mut Outbox<usize, u8>, operation: Option<u8>) -> Option<(usize, QoS)> {
        let next = outbox.next()?;
        outbox.sent(&next, operation);
        Some((next.record, next.qos))
    }

    fn first(outbox: &Outbox<usize, u8>) -> Option<usize> {
        outbox.next().map(|next| next.record)
    }

    #[test]
    fn a_record_stays_until_it_is_acknowledged() {
        let mut outbox = Outbox::new();
        outbox.push(1, QoS::AtLeastOnce);
        outbox.push(2, QoS::AtLeastOnce);
        assert_eq!(send(&mut outbox, Some(10)), Some((1, QoS::AtLeastOnce)));
        assert_eq!(send(&mut outbox, Some(11)), Some((2, QoS::AtLeastOnce)));
        assert_eq!(outbox.next(), None);
        // The second is acknowledged first; the first is given up and published again.
        let fate = |operation: &u8| if *operation == 11 { Fate::Acknowledged } else { Fate::Lost };
        assert_eq!(outbox.settle(fate, |record, _| assert_eq!(record, 2)), 1);
        assert_eq!(send(&mut outbox, Some(12)), Some((1, QoS::AtLeastOnce)));
        assert_eq!(outbox.settle(|_| Fate::Acknowledged, |record, _| assert_eq!(record, 1)), 1);
        assert!(outbox.is_empty());
        assert_eq!(outbox.dropped(), 0);
    }

    #[test]
    fn the_oldest_makes_room_and_is_counted() {
        let mut outbox: Outbox<usize, u8> = Outbox::new();
        for record in 0..OUTBOX_SIZE + 3 {
            outbox.push(record, QoS::AtLeastOnce);
        }
        assert_eq!(first(&outbox), Some(3));
        assert_eq!(outbox.dropped(), 3);
    }

    #[test]
    fn a_record_that_makes_room_while_it_is_published_leaves_the_others_alone() {
        for published in [Some(7), None] {
            let mut outbox: Outbox<usize, u8> = Outbox::new();
            outbox.push(0, QoS::AtLeastOnce);
            let next = outbox.next().into_iter().next();
            for record in 1..=OUTBOX_SIZE {
                outbox.push(record, QoS::AtLeastOnce);
            }
            if let Some(next) = &next {
                outbox.sent(next, published);
                outbox.skip(next);
            }
            assert_eq!((first(&outbox), outbox.in_flight(), outbox.dropped()), (Some(1), 0, 1));
        }
        // The one behind it is found where it has moved to.
        let mut outbox: Outbox<usize, u8> = Outbox::new();
        (0..OUTBOX_SIZE).for_each(|record| outbox.push(record, QoS::AtLeastOnce));
        send(&mut outbox, Some(1));
        let next = outbox.next();
        outbox.push(OUTBOX_SIZE, QoS::AtLeastOnce);
        if let Some(next) = &next {
            outbox.sent(next, Some(2));
        }
        assert_eq!((first(&outbox), outbox.in_flight()), (Some(2), 1));
        outbox.clear();
        outbox.push(99, QoS::AtLeastOnce);
        if let Some(next) = &next {
            outbox.sent(next, None);
        }
        assert_eq!(first(&outbox), Some(99));
    }

    #[test]
    fn a_lost_connection_drops_qos_0_only() {
        let mut outbox: Outbox<usize, u8> = Outbox::new();
        outbox.push(1, QoS::AtMostOnce);
        outbox.push(2, QoS::AtLeastOnce);
        outbox.push(3, QoS::AtMostOnce);
        outbox.disconnected();
        assert_eq!(first(&outbox), Some(2));
        assert_eq!(outbox.dropped(), 2);
    }

    #[test]
    fn one_of_qos_2_and_four_in_all_are_in_flight() {
        let mut outbox = Outbox::new();
        outbox.push(1, QoS::ExactlyOnce);
        outbox.push(2, QoS::ExactlyOnce);
        send(&mut outbox, Some(1));
        assert_eq!(outbox.next(), None);
        outbox.settle(|_| Fate::Acknowledged, |_, _| {});
        assert_eq!(first(&outbox), Some(2));
        let mut outbox = Outbox::new();
        for record in 0..10 {
            outbox.push(record, QoS::AtLeastOnce);
        }
        for record in 0..4 {
            assert_eq!(send(&mut outbox, Some(record as u8)), Some((record, QoS::AtLeastOnce)));
        }
        assert_eq!(outbox.next(), None);
    }
}
