//! Whether a scenario makes sense.

use super::{Fault, FaultKind, Scenario};
use crate::world::environment::InvalidCourse;
use core::fmt;
use embassy_time::Duration;

/// Longest name of a fault, in bytes.
const NAME_MAX: usize = 32;

/// Device addresses; the others are reserved (UM10204, table 4).
const ADDRESSES: core::ops::RangeInclusive<u8> = 0x08..=0x77;

/// Longest additional delay of a frame.
const DELAY_MAX: Duration = Duration::from_secs(60);

/// Why a scenario makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidScenario {
    /// The environment.
    Environment(InvalidCourse),
    /// A fault's name is empty, too long, or has other characters than `a-z0-9-`.
    Name(String),
    /// Two faults have this name.
    Duplicate(String),
    /// The fault called so lasts no time at all.
    Duration(String),
    /// The fault called so can have no duration.
    Momentary(String),
    /// The fault called so has both a duration and a number of times.
    TwoEnds(String),
    /// The fault called so is for an address that no device can have.
    Address(String),
    /// The fault called so has a rate outside 0 to 1, or a sum of parts in a million above one million.
    Rate(String),
    /// The fault called so has a delay above 60 s.
    Delay(String),
    /// The fault called so counts from 0 what is counted from 1.
    Count(String),
}

impl fmt::Display for InvalidScenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidScenario::Environment(cause) => write!(f, "light: {cause}"),
            InvalidScenario::Name(name) => {
                write!(f, "`{name}` can't be a fault's name; use 1 to 32 characters of `a-z`, `0-9` and `-`")
            }
            InvalidScenario::Duplicate(name) => write!(f, "two faults are called `{name}`; rename one"),
            InvalidScenario::Duration(name) => {
                write!(f, "fault `{name}` lasts no time; write `for = \"1s\"` or more")
            }
            InvalidScenario::Momentary(name) => write!(f, "fault `{name}` is over at once; remove its `for`"),
            InvalidScenario::TwoEnds(name) => {
                write!(f, "fault `{name}` has both `times` and `for`; keep one of them")
            }
            InvalidScenario::Address(name) => {
                write!(f, "fault `{name}` needs the address of a device, `0x08` to `0x77`")
            }
            InvalidScenario::Rate(name) => write!(f, "fault `{name}` needs rates from `0%` to `100%` in all"),
            InvalidScenario::Delay(name) => write!(f, "fault `{name}` can delay by at most `60s`"),
            InvalidScenario::Count(name) => write!(f, "fault `{name}` counts from 1; write `1` or more"),
        }
    }
}

impl core::error::Error for InvalidScenario {}

impl InvalidScenario {
    /// Returns the name of the fault that is meant; none for the environment.
    pub fn fault(&self) -> Option<&str> {
        match self {
            InvalidScenario::Environment(_) => None,
            InvalidScenario::Name(name)
            | InvalidScenario::Duplicate(name)
            | InvalidScenario::Duration(name)
            | InvalidScenario::Momentary(name)
            | InvalidScenario::TwoEnds(name)
            | InvalidScenario::Address(name)
            | InvalidScenario::Rate(name)
            | InvalidScenario::Delay(name)
            | InvalidScenario::Count(name) => Some(name),
        }
    }
}

impl Scenario {
    /// Checks every fault and the environment.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the faults; never empty.
    pub fn validate(&self) -> Result<(), Vec<InvalidScenario>> {
        let mut problems = Vec::new();
        if let Err(cause) = self.environment.validate() {
            problems.push(InvalidScenario::Environment(cause));
        }
        for (index, fault) in self.faults.iter().enumerate() {
            if self.faults.iter().take(index).any(|other| other.name == fault.name) {
                problems.push(InvalidScenario::Duplicate(fault.name.clone()));
            }
            fault.check(&mut problems);
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

impl Fault {
    fn check(&self, problems: &mut Vec<InvalidScenario>) {
        let mut refuse = |is_wrong: bool, problem: fn(String) -> InvalidScenario| {
            if is_wrong {
                problems.push(problem(self.name.clone()));
            }
        };
        let in_alphabet = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let named = (1..=NAME_MAX).contains(&self.name.len()) && self.name.bytes().all(in_alphabet);
        refuse(!named, InvalidScenario::Name);
        refuse(self.duration == Some(Duration::from_ticks(0)), InvalidScenario::Duration);
        match self.kind {
            FaultKind::Nack { address, times } => {
                refuse(!ADDRESSES.contains(&address), InvalidScenario::Address);
                refuse(times == Some(0), InvalidScenario::Count);
                refuse(times.is_some() && self.duration.is_some(), InvalidScenario::TwoEnds);
            }
            FaultKind::SensorGone { address } => {
                refuse(!ADDRESSES.contains(&address), InvalidScenario::Address)
            }
            FaultKind::StuckBus { pulses, .. } => refuse(pulses == Some(0), InvalidScenario::Count),
            FaultKind::Loss { rate } => refuse(!(0.0..=1.0).contains(&rate), InvalidScenario::Rate),
            FaultKind::Delay { delay } => refuse(delay > DELAY_MAX, InvalidScenario::Delay),
            FaultKind::PowerCut { operation } => refuse(operation == Some(0), InvalidScenario::Count),
            FaultKind::Reset => refuse(self.duration.is_some(), InvalidScenario::Momentary),
            FaultKind::SerialNoise { flip_ppm, drop_ppm, double_ppm } => {
                let sum = u64::from(flip_ppm) + u64::from(drop_ppm) + u64::from(double_ppm);
                refuse(sum > 1_000_000, InvalidScenario::Rate);
            }
            FaultKind::BrokerAway | FaultKind::BrokerMute | FaultKind::LinkDown | FaultKind::BlackHole => {}
        }
    }
}
