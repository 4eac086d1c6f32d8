//! The speed of a port: what was agreed on, and the way back where nothing is heard at it.

use std::time::Duration;

use super::Time;
use super::rate::USUAL_RATE;

/// How long a device at another than the usual speed may be silent before it is asked for a sign.
const SILENCE: Duration = Duration::from_secs(1);

/// How long until it is taken to be at the usual speed, as after a restart. One that is only busy loses a second by that.
const LIMIT: Duration = Duration::from_secs(3);

/// The speed of a port.
#[derive(Debug)]
pub(super) struct Speed {
    rate: u32,
    is_fixed: bool,
    is_changed: bool,
    is_heard: bool,
    is_asked: bool,
    heard_at: Option<Time>,
}

impl Default for Speed {
    fn default() -> Self {
        Speed {
            rate: USUAL_RATE,
            is_fixed: false,
            is_changed: false,
            is_heard: false,
            is_asked: false,
            heard_at: None,
        }
    }
}

impl Speed {
    /// The usual speed, and no other.
    pub(super) fn fixed() -> Self {
        Speed { is_fixed: true, ..Speed::default() }
    }

    pub(super) fn can_change(&self) -> bool {
        !self.is_fixed
    }

    pub(super) fn rate(&self) -> u32 {
        self.rate
    }

    /// The device has agreed on a speed.
    pub(super) fn change(&mut self, rate: u32) {
        if rate != self.rate && !self.is_fixed {
            *self = Speed { rate, is_changed: true, ..Speed::default() };
        }
    }

    /// A whole frame has come.
    pub(super) fn hear(&mut self) {
        self.is_heard = true;
    }

    /// Lets time pass; returns whether the device is to be asked for a sign.
    pub(super) fn is_device_to_be_asked(&mut self, now: Time) -> bool {
        if self.rate == USUAL_RATE {
            return false;
        }
        if std::mem::take(&mut self.is_heard) || self.heard_at.is_none() {
            (self.heard_at, self.is_asked) = (Some(now), false);
        }
        let silence = now.saturating_sub(self.heard_at.unwrap_or(now));
        if silence >= LIMIT {
            self.change(USUAL_RATE);
            return false;
        }
        silence >= SILENCE && !std::mem::replace(&mut self.is_asked, true)
    }

    /// Takes the speed if it has changed.
    pub(super) fn take(&mut self) -> Option<u32> {
        std::mem::take(&mut self.is_changed).then_some(self.rate)
    }
}
