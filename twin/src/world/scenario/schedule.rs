//! The events of a scenario in the order of their times.

use super::{Fault, FaultKind, Scenario};
use embassy_time::{Duration, Instant};

/// Whether a fault begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Edge {
    /// It ends. Sorts first: of two faults that meet, the one that ends makes room.
    End,
    /// It begins.
    Begin,
}

/// A fault begins or ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event<'a> {
    /// When.
    pub at: Instant,
    /// Whether it begins or ends.
    pub edge: Edge,
    /// The fault.
    pub fault: &'a Fault,
}

/// The events of a scenario, handed out one by one.
///
/// A power cut has no end here: whoever cuts power knows when it really happened, and turns it on again after
/// [`Fault::duration`].
#[derive(Clone, Debug)]
pub struct Schedule {
    faults: Vec<Fault>,
    /// Time, edge and index of the fault, sorted.
    events: Vec<(Instant, Edge, usize)>,
    next_index: usize,
}

impl Schedule {
    /// Returns the events of `scenario`, which should be valid.
    pub fn new(scenario: &Scenario) -> Self {
        let mut events = Vec::new();
        for (index, fault) in scenario.faults.iter().enumerate() {
            events.push((fault.at, Edge::Begin, index));
            let ends = fault.duration.filter(|_| !matches!(fault.kind, FaultKind::PowerCut { .. }));
            if let Some(end) = ends.and_then(|duration| fault.at.checked_add(duration)) {
                events.push((end, Edge::End, index));
            }
        }
        events.sort_unstable();
        Self { faults: scenario.faults.clone(), events, next_index: 0 }
    }

    /// Returns when the next event is due.
    pub fn next_at(&self) -> Option<Instant> {
        self.events.get(self.next_index).map(|&(at, ..)| at)
    }

    /// Returns the next event that is due at `now`, each once.
    pub fn due(&mut self, now: Instant) -> Option<Event<'_>> {
        let &(at, edge, index) = self.events.get(self.next_index).filter(|&&(at, ..)| at <= now)?;
        self.next_index += 1;
        self.faults.get(index).map(|fault| Event { at, edge, fault })
    }

    /// Returns the faults that have begun and not ended, by the events handed out so far. Settings that several faults
    /// share, such as those of the network, follow from these.
    pub fn active(&self) -> impl Iterator<Item = &Fault> {
        let passed = self.events.get(..self.next_index).unwrap_or_default();
        self.faults.iter().enumerate().filter_map(move |(index, fault)| {
            let last = passed.iter().rev().find(|&&(_, _, each)| each == index);
            last.is_some_and(|&(_, edge, _)| edge == Edge::Begin).then_some(fault)
        })
    }

    /// Returns the probability with which a frame is lost now.
    pub fn loss(&self) -> f64 {
        let kept = self.active().map(|fault| match fault.kind {
            FaultKind::Loss { rate } => 1.0 - rate,
            _ => 1.0,
        });
        1.0 - kept.product::<f64>()
    }

    /// Returns the additional delay of a frame now.
    pub fn delay(&self) -> Duration {
        self.active().fold(Duration::from_ticks(0), |sum, fault| match fault.kind {
            FaultKind::Delay { delay } => sum + delay,
            _ => sum,
        })
    }

    /// Returns whether a fault of this kind, whatever its particulars, is active now.
    pub fn has(&self, kind: FaultKind) -> bool {
        self.active().any(|fault| fault.kind.name() == kind.name())
    }
}
