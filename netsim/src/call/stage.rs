//! What the audience of a call knows: what each said when, and what each heard of whom.
//!
//! The simulation puts in what is spoken, the observers inside the listeners' engines what arrives and is played.

use super::device::DeviceClock;
use super::hearing::Hearing;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A frame that a member's engine handed to the network.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    pub(super) sequence: u64,
    /// When its first and its last sample were spoken.
    pub(super) began: Duration,
    pub(super) ended: Duration,
    /// When the engine gave it away.
    pub(super) encoded: Duration,
    pub(super) speech: bool,
    /// Whether it carries a copy of the frame before it (in-band FEC).
    pub(super) carries_fec: bool,
}

/// Frames looked back on: 40 s of the shortest ones, a sixteenth of what 16-bit numbers tell apart.
const SAID_MAX: usize = 4096;

/// One member, as the audience knows it.
pub(super) struct Role {
    pub(super) name: String,
    /// Whether it is in the group by right; its voice may be heard only then.
    pub(super) admitted: bool,
    /// The world's time at its machine's zero.
    pub(super) clock_offset: Duration,
    /// Its speaker's clock.
    pub(super) speaker: DeviceClock,
    said: Vec<Option<Said>>,
}

impl Role {
    fn new(name: &str) -> Self {
        let speaker = DeviceClock::new(Duration::ZERO, 0.0);
        let said = vec![None; SAID_MAX];
        Self { name: name.into(), admitted: false, clock_offset: Duration::ZERO, speaker, said }
    }

    /// The frame with these last 16 bits of its number, if it is not too long ago.
    pub(super) fn said(&self, sequence: u64) -> Option<Said> {
        let said = self.said[sequence as usize % SAID_MAX]?;
        (said.sequence as u16 == sequence as u16).then_some(said)
    }
}

/// The stage of one call.
pub(super) struct Stage {
    pub(super) now: Duration,
    pub(super) roles: Vec<Role>,
    /// By speaker, then listener.
    pub(super) hearings: BTreeMap<(usize, usize), Hearing>,
    pub(super) violations: Vec<String>,
    /// Whether what is said still counts.
    pub(super) counting: bool,
}

/// More are not looked at by anybody.
const VIOLATIONS_MAX: usize = 20;

impl Stage {
    pub(super) fn share(names: &[&str], with_sound: bool) -> SharedStage {
        let mut hearings = BTreeMap::new();
        for from in 0..names.len() {
            for to in (0..names.len()).filter(|to| *to != from) {
                hearings.insert((from, to), Hearing::new(with_sound));
            }
        }
        let roles = names.iter().map(|name| Role::new(name)).collect();
        let stage = Self { now: Duration::ZERO, roles, hearings, violations: Vec::new(), counting: true };
        SharedStage(Arc::new(Mutex::new(stage)))
    }

    /// `who` gives a frame away.
    pub(super) fn on_said(&mut self, who: usize, said: Said) {
        self.roles[who].said[said.sequence as usize % SAID_MAX] = Some(said);
        let after_the_end = !self.counting;
        for (_, hearing) in self.hearings.range_mut((who, 0)..(who + 1, 0)) {
            hearing.on_said(&said, after_the_end);
        }
    }

    pub(super) fn violate(&mut self, what: String) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(format!("{:.3} s: {what}", self.now.as_secs_f64()));
        }
    }
}

/// The stage, for all who look at it; one thread does.
#[derive(Clone)]
pub(super) struct SharedStage(Arc<Mutex<Stage>>);

impl SharedStage {
    pub(super) fn lock(&self) -> MutexGuard<'_, Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
