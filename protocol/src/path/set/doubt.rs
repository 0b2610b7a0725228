//! Doubting the active route: copies while it is silent, and where the peer is heard instead.

use super::{Mode, PathSet, Sign};
use crate::path::slots::{Slot, Standing};
use crate::path::{Kind, Reason};
use std::time::Duration;

impl PathSet {
    pub(super) fn doubt_if_silent(&mut self, now: Duration) {
        self.overdue = self.pulse.is_silent(now, self.round_trip());
        if self.overdue
            && let Some(second) = self.rescue(None)
        {
            self.doubt(now, second);
        }
    }

    pub(super) fn doubt(&mut self, now: Duration, second: usize) {
        self.counters.doubts += 1;
        self.mode = Mode::Doubted { since: now, second, second_since: now };
    }

    /// The active route is silent. Is the peer heard on the second?
    pub(super) fn settle_doubt(
        &mut self,
        now: Duration,
        since: Duration,
        second: usize,
        second_since: Duration,
    ) {
        let slot = self.slots.at(second);
        if slot.heard_since(self.pulse.last_heard()) && slot.heard_instead >= HEARD_MIN {
            if now.saturating_sub(since) >= self.confirmation(slot) {
                let reason = self.reason_to_rescue(slot);
                // It nominated this route, but sends elsewhere now.
                self.chosen = self.chosen.filter(|chosen| *chosen != self.active());
                // A relay that became silent because the peer has gone ahead to a better path has not failed.
                if slot.kind >= self.kind() {
                    self.fail_active(now);
                }
                self.move_to(now, second, reason, false);
            }
        } else if now.saturating_sub(second_since) >= SECOND_TRIED_FOR
            && let Some(next) = self.rescue(Some(second))
        {
            self.mode = Mode::Doubted { since, second: next, second_since: now };
        }
    }

    /// How long a silence lasts before it is no stall. The side that follows goes up at once, and the one
    /// that goes down waits longer, lest both change places for ever.
    pub(super) fn confirmation(&self, to: &Slot) -> Duration {
        let goes_along = to.kind < self.kind() || self.controlling == Some(false);
        if goes_along && to.kind <= self.kind() && !to.has_failed() {
            return CONFIRMATION_OF_FOLLOWING;
        }
        let round_trip = self.round_trip().unwrap_or(CONFIRMATION_ROUND_TRIP_MAX);
        CONFIRMATION + round_trip.min(CONFIRMATION_ROUND_TRIP_MAX)
    }

    pub(super) fn reason_to_rescue(&self, to: &Slot) -> Reason {
        let left = self.kind();
        if to.standing == Standing::Heard {
            Reason::AddressChanged
        } else if to.kind < left {
            self.reason_for_kind(to.kind)
        } else {
            Reason::Stopped { left, now: to.kind }
        }
    }

    pub(super) fn reason_for_kind(&self, kind: Kind) -> Reason {
        match kind {
            Kind::Lan => Reason::SameNetwork,
            Kind::Direct if self.was_direct => Reason::DirectBack,
            Kind::Direct => Reason::DirectFound,
            Kind::Relayed => Reason::OtherSide,
        }
    }

    /// The peer was heard on a route.
    pub(super) fn on_peer(&mut self, now: Duration, index: usize, sign: Sign) {
        let slot = self.slots.at_mut(index);
        let before = slot.heard.replace(now);
        if index == self.active {
            // Checks are small: where they pass, the call's datagrams need not.
            if sign == Sign::Call {
                self.on_peer_at_active(now);
            }
            return;
        }
        let pause = before.map(|before| now.saturating_sub(before));
        if pause.is_none_or(|pause| pause > SPELL_PAUSE) {
            slot.heard_in_spell = 0;
            slot.spell_since = now;
        }
        if pause.is_none_or(|pause| pause >= SAME_MOMENT) {
            slot.heard_instead = slot.heard_instead.saturating_add(1);
            if sign == Sign::Call {
                slot.heard_in_spell = slot.heard_in_spell.saturating_add(1);
            }
        }
        if !slot.is_usable() {
            return;
        }
        if sign == Sign::Call && self.stays_elsewhere(now, index) {
            self.chosen = None;
            self.move_to(now, index, Reason::OtherSide, true);
        } else {
            self.on_peer_elsewhere(now, index, sign);
        }
    }

    /// Copies end in a moment. A controlling peer that goes on sending on another route has chosen it, though its
    /// nomination did not arrive; two silent sides would else ask and calm each other for ever.
    fn stays_elsewhere(&self, now: Duration, index: usize) -> bool {
        let slot = self.slots.at(index);
        let since = slot.spell_since.max(self.active_since);
        let as_good = slot.is_valid() && slot.kind <= self.kind() && !slot.has_failed();
        self.controlling == Some(false) && as_good && now.saturating_sub(since) >= STAY
    }

    pub(super) fn on_peer_at_active(&mut self, now: Duration) {
        match &mut self.mode {
            Mode::Doubted { since, second, .. } => {
                let (since, second) = (*since, *second);
                self.pulse.was_wrong(now);
                let until = now + self.easing(now.saturating_sub(since), second);
                self.mode = Mode::Easing { second, until };
            }
            Mode::Moving { heard, .. } => *heard = true,
            Mode::Settled | Mode::Easing { .. } | Mode::Echoing { .. } => {}
        }
        self.pulse.on_heard(now);
        self.overdue = false;
        for slot in self.slots.iter_mut() {
            slot.heard_instead = 0;
        }
    }

    /// For how long copies go on after a doubt that lasted so long. What was heard may be the answer to a copy, when
    /// only our direction is broken; then the peer, which hears us on the second route alone, needs time to follow.
    pub(super) fn easing(&self, doubted: Duration, second: usize) -> Duration {
        let may_be_answer = self.slots.at(second).measure.round_trip.is_none_or(|trip| doubted >= trip);
        if may_be_answer { EASING_FOR_THE_PEER } else { EASING }
    }

    pub(super) fn on_peer_elsewhere(&mut self, now: Duration, index: usize, sign: Sign) {
        match self.mode {
            Mode::Settled | Mode::Easing { .. } | Mode::Echoing { .. } => {
                let slot = self.slots.at(index);
                let sent_lately = slot.sent.is_some_and(|sent| now.saturating_sub(sent) < SENT_LATELY);
                let spell_begins = sign == Sign::Call && slot.heard_in_spell == HEARD_MIN;
                // A check from where the peer was not seen to be before is a sign that it has moved.
                let is_there = sign == Sign::Call || slot.standing == Standing::Heard;
                if is_there && self.pulse.is_quiet(now) {
                    self.doubt(now, index);
                } else if spell_begins && !sent_lately && self.mode == Mode::Settled {
                    self.mode = Mode::Echoing { second: index, until: now + ECHO, least: HEARD_MIN };
                }
            }
            Mode::Doubted { since, second, .. } => {
                if second != index && !self.slots.at(second).heard_since(since) {
                    self.mode = Mode::Doubted { since, second: index, second_since: now };
                }
            }
            Mode::Moving { .. } => {}
        }
    }
}

/// One datagram may be a straggler.
const HEARD_MIN: u8 = 2;
/// With the silence before it and a round trip (the peer's answer to the first copy) 250 to 350 ms: a longer stall is
/// worth a move, since the copies have bridged it that long.
const CONFIRMATION: Duration = Duration::from_millis(150);
const CONFIRMATION_ROUND_TRIP_MAX: Duration = Duration::from_millis(100);
const CONFIRMATION_OF_FOLLOWING: Duration = Duration::from_millis(60);
/// Then another route gets the copies: long enough for an answer over a slow relay.
const SECOND_TRIED_FOR: Duration = Duration::from_millis(400);
/// The datagram heard may be a straggler: copies go on for the next one or two.
const EASING: Duration = Duration::from_millis(30);
/// The peer's doubt, a way there and a way back.
const EASING_FOR_THE_PEER: Duration = Duration::from_millis(250);
/// How long copies follow the peer to where it was heard; enough for it to move.
const ECHO: Duration = Duration::from_millis(400);
/// Copies of ours may be why the peer is heard there.
const SENT_LATELY: Duration = Duration::from_secs(1);
/// Longer than copies last, also those of a slow move.
const STAY: Duration = Duration::from_secs(6);
/// A silent peer sends each 1.2 s.
const SPELL_PAUSE: Duration = Duration::from_millis(1500);
/// Half of the shortest frame: several datagrams within it are one burst.
const SAME_MOMENT: Duration = Duration::from_millis(5);
