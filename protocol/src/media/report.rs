//! What a listener tells a sender about how its voice arrives.
//!
//! A datagram of kind report: the kind byte, then the share of frames lost before any recovery and after
//! it (each as 0 to 255 for 0 to 100 %), then, as two big-endian bytes each, the jitter in ms and three counters that
//! wrap: packets whose fate is known, those of them that the path lost, and the runs they were lost in. Longer reports are
//! from later versions; what follows is skipped. A report is advice: the sender clamps what it does with it.

use super::packet::{Kind, PacketError, kind, kind_byte};

/// A listener's view of the last second of one sender's stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReceptionReport {
    /// Share of packets that did not arrive, 0 to 255 for 0 to 100 %.
    pub lost: u8,
    /// Share of frames that had to be concealed after all recovery, 0 to 255 for 0 to 100 %.
    pub concealed: u8,
    /// Spread of the packets' delays in ms.
    pub jitter_ms: u16,
    /// Packets whose fate is known, since the stream began; wraps.
    pub packets: u16,
    /// Those of them that did not come, whatever was done about it; wraps.
    pub packets_lost: u16,
    /// The runs in which they were lost; wraps.
    pub bursts: u16,
}

/// Bytes of a report.
const BYTES: usize = 11;

impl ReceptionReport {
    /// The report's datagram.
    pub fn encode(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..3].copy_from_slice(&[kind_byte(Kind::Report), self.lost, self.concealed]);
        let numbers = [self.jitter_ms, self.packets, self.packets_lost, self.bursts];
        for (place, number) in bytes[3..].chunks_exact_mut(2).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    /// Reads a datagram of kind [`Kind::Report`].
    pub fn decode(datagram: &[u8]) -> Result<Self, PacketError> {
        let fields = datagram.get(..BYTES).ok_or(PacketError::Truncated)?;
        if kind(fields) != Some(Kind::Report) {
            return Err(PacketError::Malformed);
        }
        let number = |at: usize| u16::from_be_bytes([fields[at], fields[at + 1]]);
        Ok(Self {
            lost: fields[1],
            concealed: fields[2],
            jitter_ms: number(3),
            packets: number(5),
            packets_lost: number(7),
            bursts: number(9),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::ReceptionReport;

    #[test]
    fn a_report_reads_back_and_ignores_later_fields() {
        let report = ReceptionReport {
            lost: 13,
            concealed: 2,
            jitter_ms: 700,
            packets: 65_000,
            packets_lost: 300,
            bursts: 9,
        };
        let mut bytes = report.encode().to_vec();
        bytes.push(9);
        assert_eq!(ReceptionReport::decode(&bytes), Ok(report));
        assert!(ReceptionReport::decode(&bytes[..10]).is_err());
    }
}
