//! Moving to a better route by choice, and from one whose consent is lost.

use super::{Mode, PathSet};
use crate::path::measure::{Better, better};
use crate::path::slots::Slot;
use crate::path::{Change, Kind, Reason, Via};
use std::time::Duration;

impl PathSet {
    /// Moves to a better route, if one has been better for long enough.
    pub(super) fn consider(&mut self, now: Duration) {
        self.leave_dead(now);
        let settled = match self.mode {
            Mode::Settled | Mode::Easing { .. } | Mode::Echoing { .. } => true,
            Mode::Moving { .. } | Mode::Doubted { .. } => false,
        };
        if !settled || self.chosen == Some(self.active()) {
            return;
        }
        let active = self.slots.at(self.active);
        let first_direct = !self.was_direct && active.kind == Kind::Relayed;
        let dwelt = now.saturating_sub(self.active_since) >= DWELL;
        let mut best: Option<(usize, Better)> = None;
        for (index, slot) in self.slots.iter() {
            let at_once = first_direct && slot.kind != Kind::Relayed;
            let enough = if at_once { slot.better_for >= 1 } else { slot.better_for >= 2 && dwelt };
            if index == self.active || !enough || !slot.is_proven(now) {
                continue;
            }
            let Some(why) = better((slot.kind, slot.measure), (active.kind, active.measure)) else {
                continue;
            };
            let beats = best.is_none_or(|(other, _)| rank(slot) < rank(self.slots.at(other)));
            if beats {
                best = Some((index, why));
            }
        }
        let Some((index, why)) = best else { return };
        let reason = match why {
            Better::Kind => self.reason_for_kind(self.slots.at(index).kind),
            Better::RoundTrip(by) => Reason::ShorterRoundTrip(by),
            Better::Loss => Reason::LessLoss,
        };
        if why != Better::Kind {
            self.slots.at_mut(self.active).fail();
        }
        self.move_to(now, index, reason, true);
    }

    /// The active route's consent is lost: to any other at once. Without another one it remains.
    pub(super) fn leave_dead(&mut self, now: Duration) {
        if self.slots.at(self.active).is_usable() {
            return;
        }
        if let Some(index) = self.rescue(None) {
            let reason = self.reason_to_rescue(self.slots.at(index));
            self.note_death(now);
            self.move_to(now, index, reason, false);
        }
    }

    pub(super) fn follow_nomination(&mut self, now: Duration, index: usize) {
        let slot = self.slots.at(index);
        if index != self.active && slot.is_valid() && !slot.has_failed() {
            self.move_to(now, index, Reason::OtherSide, true);
        }
    }

    pub(super) fn fail_active(&mut self, now: Duration) {
        self.note_death(now);
        if self.chosen == Some(self.active()) {
            self.chosen = None;
        }
        self.slots.at_mut(self.active).fail();
    }

    pub(super) fn note_death(&mut self, now: Duration) {
        if self.kind() == Kind::Direct {
            self.rotation.on_death(now.saturating_sub(self.active_since));
        }
    }

    pub(super) fn move_to(&mut self, now: Duration, index: usize, reason: Reason, overlap: bool) {
        let former = self.active;
        self.slots.at_mut(former).patience = self.pulse.patience(now);
        let overlap = overlap && self.slots.at(former).is_usable();
        self.active = index;
        self.active_since = now;
        self.forgiven = now;
        self.mode = if overlap {
            Mode::Moving { from: former, since: now, sent: 0, heard: false }
        } else {
            Mode::Settled
        };
        let slot = self.slots.at(index);
        self.pulse.move_to(now, slot.patience);
        self.overdue = false;
        self.was_direct |= slot.kind != Kind::Relayed;
        self.reason = reason;
        self.counters.moves += 1;
        let from = self.change.map_or(self.slots.at(former).route, |unseen| unseen.from);
        let change = Change { from, to: slot.route, kind: slot.kind, reason };
        self.change = (from != slot.route).then_some(change);
        for slot in self.slots.iter_mut() {
            slot.better_for = 0;
            slot.heard_instead = 0;
        }
    }

    pub(super) fn finish_move(
        &mut self,
        now: Duration,
        from: usize,
        since: Duration,
        sent: u32,
        heard: bool,
    ) {
        let lasted = now.saturating_sub(since);
        if heard {
            if lasted >= OVERLAP_MIN {
                self.mode = Mode::Settled;
            }
            return;
        }
        if (lasted < OVERLAP_MAX || sent < OVERLAP_SENT_MIN) && lasted < OVERLAP_SLOW_MAX {
            return;
        }
        let former = self.slots.at(from);
        if former.is_usable() && former.heard_since(since) {
            self.fail_active(now);
            self.move_to(now, from, Reason::DidNotCarry, false);
        } else {
            self.mode = Mode::Settled;
        }
    }

    /// Where to look for the peer while the active route is silent: where it was heard since, else the standby,
    /// else anywhere. `after`: a route tried in vain.
    pub(super) fn rescue(&self, after: Option<usize>) -> Option<usize> {
        let heard_last = self.pulse.last_heard();
        let standby = self.standby_index();
        let key = |index: usize, slot: &Slot| {
            (!slot.heard_since(heard_last), Some(index) != standby, slot.has_failed(), slot.sent, rank(slot))
        };
        let others = self
            .slots
            .iter()
            .filter(|(index, slot)| *index != self.active && Some(*index) != after && slot.is_usable());
        match after {
            None => others.min_by_key(|(index, slot)| key(*index, slot)),
            Some(_) => others.min_by_key(|(_, slot)| (!slot.heard_since(heard_last), slot.sent, rank(slot))),
        }
        .map(|(index, _)| index)
    }

    /// The route that is least likely to fail together with the active one: of another kind, and through other servers.
    /// A relayed route leads from a relay of ours, to a relay of the peer's, or both.
    pub(super) fn standby_index(&self) -> Option<usize> {
        let active = self.slots.at(self.active);
        let is_relayed = |slot: &Slot| slot.kind == Kind::Relayed;
        let relay = |slot: &Slot| match slot.route.via {
            Via::Relay(relay) => Some(relay),
            Via::Socket | Via::Spare(_) => None,
        };
        let in_common = |slot: &Slot| {
            let ours = relay(slot).is_some() && relay(slot) == relay(active);
            let theirs = slot.route.to.ip() == active.route.to.ip();
            (is_relayed(slot) == is_relayed(active), u8::from(ours) + u8::from(theirs))
        };
        let others = self.slots.iter().filter(|(index, slot)| *index != self.active && slot.is_valid());
        others
            .min_by_key(|(_, slot)| (slot.has_failed(), in_common(slot), rank(slot)))
            .map(|(index, _)| index)
    }
}

/// The better of two routes that would both do.
fn rank(slot: &Slot) -> (Kind, u8, Duration) {
    (slot.kind, slot.failures, slot.measure.round_trip.unwrap_or(Duration::MAX))
}

/// Copies outlast what is on its way on the former route.
const OVERLAP_MIN: Duration = Duration::from_millis(250);
/// By then the peer has had many chances to be heard on the new route.
const OVERLAP_MAX: Duration = Duration::from_secs(1);
/// As many chances; a silent peer takes longer to have them, but not for ever.
const OVERLAP_SENT_MIN: u32 = 10;
const OVERLAP_SLOW_MAX: Duration = Duration::from_secs(5);
/// A move by choice is not undone by choice sooner.
const DWELL: Duration = Duration::from_secs(2);
