//! How much of the speech had to be made up by the listener's side.

use std::time::Duration;

/// Speech, and the part of it that was concealed.
///
/// A hole costs the listener what is missing or what was made up in its place, whichever is longer: a
/// buffer that waits for a late frame makes up sound and drops nothing, one that skips a lost frame after
/// 10 ms of made-up sound drops the rest unheard.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Concealment {
    /// All the speech that was due.
    pub speech: Duration,
    /// What of it was concealed; may be longer than the speech, as waiting takes any time.
    pub concealed: Duration,
}

impl Concealment {
    /// This much speech was due, and heard unless a hole is told of it.
    pub fn on_speech(&mut self, duration: Duration) {
        self.speech += duration;
    }

    /// There was a hole: this much sound was made up, this much speech never heard.
    pub fn on_hole(&mut self, made_up: Duration, unheard: Duration) {
        self.concealed += made_up.max(unheard);
    }

    /// The concealed share of the speech, 0 to 1; 0 where nobody spoke.
    #[must_use]
    pub fn share(&self) -> f64 {
        if self.speech.is_zero() { 0.0 } else { self.concealed.div_duration_f64(self.speech).min(1.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_costs_the_longer_of_what_was_made_up_and_what_was_not_heard() {
        let ms = Duration::from_millis;
        let mut concealment = Concealment::default();
        assert_eq!(concealment.share(), 0.0);

        concealment.on_speech(ms(400));
        concealment.on_hole(ms(10), ms(20));
        assert_eq!(concealment.share(), 0.05);
        concealment.on_hole(ms(60), ms(0));
        assert_eq!(concealment.share(), 0.2);
        concealment.on_hole(ms(5000), ms(20));
        assert_eq!(concealment.share(), 1.0);
    }
}
