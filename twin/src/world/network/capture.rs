//! Packet captures in the classic pcap format, which Wireshark and tcpdump read.
//!
//! Timestamps are the world's clock, so that captures of equal runs are equal to the byte.

use embassy_time::Instant;

/// pcap magic for timestamps in microseconds, written little-endian (draft-ietf-opsawg-pcap, section 4).
const MAGIC: u32 = 0xa1b2_c3d4;
/// `LINKTYPE_ETHERNET` (draft-ietf-opsawg-pcaplinktype).
const LINK_TYPE_ETHERNET: u32 = 1;
/// Longest frame that is kept whole; longer ones do not occur on a [`link`](super::link).
const SNAPSHOT_LEN: u32 = 65_535;

/// A capture in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    bytes: Vec<u8>,
}

impl Capture {
    /// Returns a capture without frames: the file header.
    pub fn new() -> Self {
        let mut bytes = Vec::with_capacity(4096);
        bytes.extend(MAGIC.to_le_bytes());
        bytes.extend(2u16.to_le_bytes());
        bytes.extend(4u16.to_le_bytes());
        bytes.extend([0; 8]);
        bytes.extend(SNAPSHOT_LEN.to_le_bytes());
        bytes.extend(LINK_TYPE_ETHERNET.to_le_bytes());
        Capture { bytes }
    }

    /// Adds a frame that was seen at `at`.
    pub fn add(&mut self, at: Instant, frame: &[u8]) {
        let micros = at.as_micros();
        // Seconds wrap after 136 years of world time.
        let seconds = (micros / 1_000_000 % (1 << 32)) as u32;
        let len = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let kept_len = len.min(SNAPSHOT_LEN);
        self.bytes.extend(seconds.to_le_bytes());
        self.bytes.extend(((micros % 1_000_000) as u32).to_le_bytes());
        self.bytes.extend(kept_len.to_le_bytes());
        self.bytes.extend(len.to_le_bytes());
        self.bytes.extend(frame.iter().take(kept_len as usize));
    }

    /// Returns what has been written since the last call, the file header first. Appending every piece to a file makes
    /// the whole capture.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

impl Default for Capture {
    fn default() -> Self {
        Capture::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let mut capture = Capture::new();
        capture.add(Instant::from_micros(2_000_001), &[0xa5; 3]);
        let expected = [
            0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0,
            0, // file
            2, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, // record
            0xa5, 0xa5, 0xa5,
        ];
        assert_eq!(capture.take(), expected);
        assert!(capture.take().is_empty());
    }
}
