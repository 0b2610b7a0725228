//! The routes known to lead to one peer: a table without allocation, bounded.

use super::measure::Measure;
use super::{Kind, Route};
use crate::limits::ROUTES_MAX;
use std::time::Duration;

/// How far a route may be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// An answered check proved it in both directions.
    Valid,
    /// The other side chose it; our own check has not been answered yet.
    Nominated,
    /// An authentic check came from there.
    Heard,
    /// Consent is lost (RFC 7675); what failed there is remembered.
    Dead { since: Duration },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) route: Route,
    pub(super) kind: Kind,
    pub(super) standing: Standing,
    pub(super) measure: Measure,
    /// Answered checks since it last failed, and since when.
    pub(super) answers: u32,
    pub(super) proven_since: Duration,
    /// Measurements in a row by which it was better than the active route.
    pub(super) better_for: u8,
    /// Times it was left for not being good enough, less those forgiven.
    pub(super) failures: u8,
    /// How long it may stall, learnt when it was last active.
    pub(super) patience: Duration,
    pub(super) heard: Option<Duration>,
    pub(super) sent: Option<Duration>,
    /// Moments at which the peer was heard here since it was last heard on the active route.
    pub(super) heard_instead: u8,
    /// Moments at which the peer was heard here in one spell without longer pauses.
    pub(super) heard_in_spell: u8,
    pub(super) spell_since: Duration,
}

impl Slot {
    pub(super) fn new(now: Duration, route: Route, kind: Kind, standing: Standing) -> Self {
        Self {
            route,
            kind,
            standing,
            measure: Measure::default(),
            answers: 0,
            proven_since: now,
            better_for: 0,
            failures: 0,
            patience: Duration::ZERO,
            heard: None,
            sent: None,
            heard_instead: 0,
            heard_in_spell: 0,
            spell_since: now,
        }
    }

    pub(super) fn is_valid(&self) -> bool {
        self.standing == Standing::Valid
    }

    pub(super) fn is_usable(&self) -> bool {
        matches!(self.standing, Standing::Valid | Standing::Nominated | Standing::Heard)
    }

    /// Left, and no check was answered since.
    pub(super) fn has_failed(&self) -> bool {
        self.failures > 0 && self.answers == 0
    }

    /// Whether it has proved itself for as long as its failures ask for.
    pub(super) fn is_proven(&self, now: Duration) -> bool {
        let (answers, hold) = match self.failures {
            0 => (1, Duration::ZERO),
            failures => (2, HOLD_FIRST * 2_u32.pow(u32::from(failures.min(FAILURES_MAX)) - 1)),
        };
        self.is_valid() && self.answers >= answers && now.saturating_sub(self.proven_since) >= hold
    }

    pub(super) fn fail(&mut self) {
        self.failures = (self.failures + 1).min(FAILURES_MAX);
        self.answers = 0;
        self.better_for = 0;
    }

    pub(super) fn heard_since(&self, moment: Duration) -> bool {
        self.heard.is_some_and(|heard| heard > moment)
    }

    /// What is thrown out first when there is no room, smallest first.
    fn worth(&self) -> (u8, u8, Duration) {
        let heard = self.heard.unwrap_or_default();
        match self.standing {
            Standing::Dead { since } => (0, 0, since),
            Standing::Heard => (1, 0, heard),
            Standing::Nominated => (2, 0, heard),
            Standing::Valid => (3, 2 - self.kind as u8, heard),
        }
    }
}

/// The table. The active route is always in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slots {
    slots: [Option<Slot>; ROUTES_MAX],
}

impl Slots {
    pub(super) fn new(first: Slot) -> Self {
        let mut slots = [None; ROUTES_MAX];
        slots[0] = Some(first);
        Self { slots }
    }

    pub(super) fn find(&self, route: Route) -> Option<usize> {
        self.slots.iter().position(|slot| slot.as_ref().is_some_and(|slot| slot.route == route))
    }

    pub(super) fn at(&self, index: usize) -> &Slot {
        self.slots[index].as_ref().expect("indices in use are never thrown out")
    }

    pub(super) fn at_mut(&mut self, index: usize) -> &mut Slot {
        self.slots[index].as_mut().expect("indices in use are never thrown out")
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Slot)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| Some((index, slot.as_ref()?)))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.slots.iter_mut().flatten()
    }

    /// Puts a route in, if need be for a less worthy one that is not in use. `None`: all are worth more.
    pub(super) fn insert(&mut self, slot: Slot, in_use: [usize; 2]) -> Option<usize> {
        let index = match self.slots.iter().position(Option::is_none) {
            Some(free) => free,
            None => {
                let others = self.iter().filter(|(index, _)| !in_use.contains(index));
                let (index, least) = others.min_by_key(|(_, other)| other.worth())?;
                if least.worth().0 > slot.worth().0 {
                    return None;
                }
                index
            }
        };
        self.slots[index] = Some(slot);
        Some(index)
    }
}

/// How long a route has to answer after its first failure before it is used again; doubled with each.
const HOLD_FIRST: Duration = Duration::from_secs(2);
/// 64 s at most: who repairs a line wants to see it used.
const FAILURES_MAX: u8 = 6;
