//! Which sequence numbers have come already.

const WORDS: usize = 8;
const SPAN: u64 = WORDS as u64 * 64;

/// The last 512 numbers. What is older counts as never seen: media time tells it is late.
pub(super) struct SeenSequences {
    highest: Option<u64>,
    bits: [u64; WORDS],
}

impl SeenSequences {
    pub(super) fn new() -> Self {
        Self { highest: None, bits: [0; WORDS] }
    }

    /// Whether this number, of the last 512, has not come.
    pub(super) fn lacks(&self, sequence: u64) -> bool {
        let (word, mask) = place(sequence);
        self.highest
            .is_some_and(|highest| highest.wrapping_sub(sequence) < SPAN && self.bits[word] & mask == 0)
    }

    /// Returns whether the number is new.
    pub(super) fn insert(&mut self, sequence: u64) -> bool {
        let highest = self.highest.unwrap_or(sequence);
        if sequence > highest {
            if sequence - highest >= SPAN {
                self.bits = [0; WORDS];
            } else {
                for passed in highest + 1..=sequence {
                    let (word, mask) = place(passed);
                    self.bits[word] &= !mask;
                }
            }
        } else if highest - sequence >= SPAN {
            return true;
        }
        self.highest = Some(highest.max(sequence));
        let (word, mask) = place(sequence);
        let new = self.bits[word] & mask == 0;
        self.bits[word] |= mask;
        new
    }
}

fn place(sequence: u64) -> (usize, u64) {
    let bit = sequence % SPAN;
    ((bit / 64) as usize, 1 << (bit % 64))
}

#[cfg(test)]
mod tests {
    use super::SeenSequences;

    #[test]
    fn every_number_is_new_once() {
        let mut seen = SeenSequences::new();
        for sequence in [5, 7, 6, 518, 10_000, 9_700, u64::MAX, u64::MAX - 3] {
            assert!(seen.insert(sequence), "{sequence}");
            assert!(!seen.insert(sequence), "{sequence}");
        }
    }
}
