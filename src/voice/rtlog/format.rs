//! The file: how records become bytes, and back.
//!
//! Header: `rtlog`, a version byte, then the buffers' configuration as three variable-length integers: least and
//! greatest target in microseconds, and the shift (zigzag). Then records until the file ends.
//!
//! A record begins with a byte whose low three bits are its kind and whose high bits are flags; integers are of
//! variable length, seven bits a byte, lowest first (LEB128); signed ones zigzag. A time is the distance from the
//! record before, a flag says that it runs backwards. A peer that the last record named is not named again, a primary
//! frame that follows the peer's last one in every counter is not counted again. An arrival takes 4 bytes so, and a
//! pull 3.
//!
//! | kind | record | flags | then |
//! |---|---|---|---|
//! | 0 | arrival | same peer 8, in sequence 16, copy 32, error correction 64, backwards 128 | marks and size, peer, time, counters |
//! | 1 | pulls | same length 8, one less than their number 16 to 64, backwards 128 | time, length |
//! | 2 | stretched | same peer 8, removed 16 | peer, operation, samples |
//! | 3 | yielded | same peer 8 | peer, operation, samples |
//! | 4 | a peer came, went (16) or changed its path (32) | same peer 8, backwards 128 | peer, time |
//! | 5 | counter | same peer 8 | peer, which, value |
//! | 6 | gap | | records that are missing |

use super::record::Arrived;
use protocol::limits::MEMBERS_MAX;

/// Version of the format, in the header.
pub const HEADER_VERSION: u8 = 1;
/// Places are numbered below this.
pub const PLACES_MAX: usize = MEMBERS_MAX;
/// Pulls of one record.
pub const PULLS_MAX: u8 = 8;
/// Sizes are rounded up to this many bytes: too coarse to guess words from, fine enough to see what was sent.
pub const SIZE_STEP: usize = 32;

pub(super) const MAGIC: &[u8; 5] = b"rtlog";

pub(super) const KIND: u8 = 7;
pub(super) const ARRIVAL: u8 = 0;
pub(super) const PULLS: u8 = 1;
pub(super) const STRETCHED: u8 = 2;
pub(super) const YIELDED: u8 = 3;
pub(super) const PEER: u8 = 4;
pub(super) const COUNT: u8 = 5;
pub(super) const GAP: u8 = 6;

pub(super) const SAME: u8 = 8;
pub(super) const IN_SEQUENCE: u8 = 16;
pub(super) const COPY: u8 = 32;
pub(super) const FEC: u8 = 64;
pub(super) const BACKWARDS: u8 = 128;
pub(super) const REMOVED: u8 = 16;
pub(super) const WENT: u8 = 16;
pub(super) const SWITCHED: u8 = 32;
pub(super) const PULLS_SHIFT: u32 = 4;

/// Of an arrival's second byte.
pub(super) const SIZE: u8 = 15;
pub(super) const START: u8 = 16;
pub(super) const END: u8 = 32;

/// What the next record is told against; the same on both sides.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) at_us: u64,
    pub(super) place: u8,
    pub(super) samples: u16,
    /// What would come next of each peer, if nothing were missing.
    pub(super) expected: [Arrived; PLACES_MAX],
}

impl Context {
    pub(super) fn new() -> Self {
        Self { at_us: 0, place: 0, samples: 0, expected: [Arrived::default(); PLACES_MAX] }
    }

    pub(super) fn follow(&mut self, place: u8, frame: &Arrived) {
        if !frame.copy {
            let expected = &mut self.expected[usize::from(place)];
            expected.sequence = frame.sequence.wrapping_add(1);
            expected.time = frame.time.wrapping_add(u64::from(frame.ticks));
            expected.ticks = frame.ticks;
        }
    }
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;
