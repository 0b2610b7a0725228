//! What a listener tells a sender about how its voice arrives.
//!
//! A datagram of kind report: the kind byte, then the share of frames lost before any recovery and after
//! it (each as 0 to 255 for 0 to 100 %), then the jitter in ms as two bytes. Longer reports are from later
//! versions; what follows is skipped. A report is advice: the sender clamps what it does with it.

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
}

impl ReceptionReport {
    /// The report's datagram.
    pub fn encode(&self) -> [u8; 5] {
        let jitter = self.jitter_ms.to_be_bytes();
        [kind_byte(Kind::Report), self.lost, self.concealed, jitter[0], jitter[1]]
    }

    /// Reads a datagram of kind [`Kind::Report`].
    pub fn decode(datagram: &[u8]) -> Result<Self, PacketError> {
        let fields = datagram.get(..5).ok_or(PacketError::Truncated)?;
        if kind(fields) != Some(Kind::Report) {
            return Err(PacketError::Malformed);
        }
        Ok(Self {
            lost: fields[1],
            concealed: fields[2],
            jitter_ms: u16::from_be_bytes([fields[3], fields[4]]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::ReceptionReport;

    #[test]
    fn a_report_reads_back_and_ignores_later_fields() {
        let report = ReceptionReport { lost: 13, concealed: 2, jitter_ms: 700 };
        let mut bytes = report.encode().to_vec();
        bytes.push(9);
        assert_eq!(ReceptionReport::decode(&bytes), Ok(report));
        assert!(ReceptionReport::decode(&bytes[..4]).is_err());
    }
}
