//! Whether the active route still answers.
//!
//! A peer that is sent voice answers at least with QUIC acknowledgements: for every second datagram, or after
//! 25 ms (RFC 9000, sections 13.2.1 and 18.2). So three datagrams of ours without anything heard for
//! three of our own intervals are unusual, and for as much longer as this route's gaps have spread lately they are
//! *silence*. Silence costs only some duplicates, hence it may be wrong; each time it was, the route is
//! given more *patience*, which it loses again slowly.
//!
//! An answer to the first datagram of a talkspurt takes a round trip: only then the measure begins.

use std::time::Duration;

/// What is known of datagrams sent to and heard from one peer on its active route.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pulse {
    last_sent: Duration,
    /// Our own interval: as it was lately.
    spacing: Duration,
    /// Since when we have been sending at about this interval.
    run_start: Duration,
    /// The first datagram that nothing was heard after.
    first_unanswered: Duration,
    /// Moments (not datagrams: they may come in bursts) at which we sent without hearing since.
    unanswered: u32,
    last_heard: Duration,
    gap_mean: Duration,
    gap_deviation: Duration,
    patience: Duration,
    patience_since: Duration,
}

impl Pulse {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            last_sent: now,
            spacing: SPACING_FIRST,
            run_start: now,
            first_unanswered: now,
            unanswered: 0,
            last_heard: now,
            gap_mean: Duration::ZERO,
            gap_deviation: Duration::ZERO,
            patience: Duration::ZERO,
            patience_since: now,
        }
    }

    /// Begins anew on another route, which had earned this patience before.
    pub(super) fn move_to(&mut self, now: Duration, patience: Duration) {
        self.run_start = now;
        self.first_unanswered = now;
        self.unanswered = 0;
        self.last_heard = now;
        self.patience = patience;
        self.patience_since = now;
    }

    pub(super) fn on_sent(&mut self, now: Duration) {
        let gap = now.saturating_sub(self.last_sent);
        if gap < SAME_MOMENT {
            if self.unanswered == 0 {
                self.unanswered = 1;
                self.first_unanswered = now;
            }
            return;
        }
        if gap > self.spacing * 3 || gap * 3 < self.spacing {
            self.run_start = now;
            self.spacing = gap.min(SPACING_MAX);
        } else {
            self.spacing = (self.spacing * 3 + gap.min(SPACING_MAX)) / 4;
        }
        self.last_sent = now;
        if self.unanswered == 0 {
            self.first_unanswered = now;
        }
        self.unanswered = self.unanswered.saturating_add(1);
    }

    pub(super) fn on_heard(&mut self, now: Duration) {
        let gap = now.saturating_sub(self.last_heard);
        self.last_heard = self.last_heard.max(now);
        self.unanswered = 0;
        // Gaps of silence between talkspurts say nothing about the network.
        if gap < Duration::from_millis(1) || gap > GAP_MAX || self.spacing > VOICE_SPACING_MAX {
            return;
        }
        if self.gap_mean.is_zero() {
            self.gap_mean = gap;
            return;
        }
        let off = gap.abs_diff(self.gap_mean);
        self.gap_mean = (self.gap_mean * 15 + gap) / 16;
        self.gap_deviation = (self.gap_deviation * 15 + off) / 16;
    }

    /// We sent, and by now an answer should have come. `round_trip`: of this route.
    pub(super) fn is_silent(&self, now: Duration, round_trip: Option<Duration>) -> bool {
        if self.unanswered < UNANSWERED_MIN {
            return false;
        }
        let first_answer = round_trip.unwrap_or(ROUND_TRIP_UNKNOWN).min(ROUND_TRIP_MAX) + ANSWER_DELAY_MAX;
        // A sender without any rhythm must not put the beginning off for ever.
        let due = (self.run_start + first_answer).min(self.first_unanswered + RUN_EXCUSE_MAX);
        let since = self.last_heard.max(due);
        let spacing = (self.spacing * 3).max(SILENCE_MIN);
        now.saturating_sub(since) > (spacing + self.spread()).max(self.patience(now))
    }

    /// Nothing was heard for longer than the peer's own interval explains, whether we sent or not: enough
    /// to believe the route on which it *is* heard.
    pub(super) fn is_quiet(&self, now: Duration) -> bool {
        let usual = if self.gap_mean.is_zero() { VOICE_SPACING_MAX } else { self.gap_mean };
        let limit = ((usual * 3).max(SILENCE_MIN) + self.spread()).max(self.patience(now));
        now.saturating_sub(self.last_heard) > limit
    }

    /// The silence that began at `last_heard` was none: something came at `now`.
    pub(super) fn was_wrong(&mut self, now: Duration) {
        let gap = now.saturating_sub(self.last_heard);
        if gap <= STALL_MAX {
            self.patience = self.patience(now).max(gap * 5 / 4).min(PATIENCE_MAX);
            self.patience_since = now;
        }
    }

    pub(super) fn last_heard(&self) -> Duration {
        self.last_heard
    }

    /// How long this route may be silent after earlier false alarms.
    pub(super) fn patience(&self, now: Duration) -> Duration {
        self.patience.saturating_sub(now.saturating_sub(self.patience_since) / PATIENCE_LOSS)
    }

    fn spread(&self) -> Duration {
        (self.gap_deviation * 2).min(SPREAD_MAX)
    }
}

/// Until intervals are known: the longest that a talking peer has.
const SPACING_FIRST: Duration = VOICE_SPACING_MAX;
/// A talking peer sends each 10 to 60 ms; slower is silence kept alive.
const VOICE_SPACING_MAX: Duration = Duration::from_millis(60);
/// A silent peer sends each 400 ms, later each 1.2 s; after that long it is asked.
const SPACING_MAX: Duration = Duration::from_millis(500);
/// Half of the shortest frame: several datagrams within it are one burst.
const SAME_MOMENT: Duration = Duration::from_millis(5);
/// Fewer could all be waiting for one acknowledgement.
const UNANSWERED_MIN: u32 = 3;
/// QUIC's max_ack_delay of 25 ms, and one interval of the engine's own timing.
const ANSWER_DELAY_MAX: Duration = Duration::from_millis(30);
/// With 10 ms frames three intervals would be less than a Wi-Fi's usual pause.
const SILENCE_MIN: Duration = Duration::from_millis(45);
const ROUND_TRIP_UNKNOWN: Duration = Duration::from_millis(200);
const ROUND_TRIP_MAX: Duration = Duration::from_secs(1);
const RUN_EXCUSE_MAX: Duration = Duration::from_millis(1500);
/// Longer gaps are pauses or stalls, not spread.
const GAP_MAX: Duration = Duration::from_millis(200);
const SPREAD_MAX: Duration = Duration::from_millis(60);
/// A gap longer than this was an outage; to wait for the next one would only add to it.
const STALL_MAX: Duration = Duration::from_millis(400);
/// A route that stalls for longer is worth its duplicates.
const PATIENCE_MAX: Duration = Duration::from_millis(300);
/// A millisecond of patience is lost in half a second: a stall a second long ago is forgotten in a minute or two.
const PATIENCE_LOSS: u32 = 500;
