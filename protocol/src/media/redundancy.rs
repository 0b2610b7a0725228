//! Which earlier frames ride along in a packet to one listener: none on a clean path, and on a lossy one copies at the
//! distances that pay most for what that listener's reports say of its path.
//!
//! Loss is taken to come as in Gilbert's model: of the packets a share `p` is lost, in runs of `b` on average. Then after
//! a lost packet the one `d` later is lost as well with probability p + (1 - p) λ^d, where λ = 1 - 1/b - p / (b (1 - p)).
//! A copy farther away survives a run more often, and makes the listener wait longer for it. What is cheapest by
//! [`crate::impairment`] is sent, of the combinations in [`CHOICES`].
//!
//! The sender encodes once: a listener with a bad path costs the others nothing.

use super::ReceptionReport;
use crate::impairment::{CONCEALED_PER_PERCENT, COPY, DELAY_PER_MS};
use std::time::Duration;

/// Distances of the copies, in packets.
const CHOICES: [&[u8]; 13] =
    [&[], &[1], &[2], &[3], &[4], &[6], &[8], &[1, 2], &[1, 3], &[2, 4], &[3, 6], &[4, 8], &[1, 2, 3]];

/// Loss is looked back on for 5 s, so copies stop 5 s after the last; and for 1 s, to rise at once.
const LONG: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_secs(1);
/// Reports kept: four a second, and some more.
const REPORTS_MAX: usize = 24;
/// Packets a share is taken of at least, so that the first lost one is not all of them.
const PACKETS_MIN: f32 = 100.0;
/// Another choice must be better by this (R): what rides along does not change all the time.
const WORTH_CHANGING: f32 = 0.5;
/// More packets between two reports than this are not believed.
const BETWEEN_MAX: u16 = 2_000;

#[derive(Clone, Copy, Debug)]
struct Step {
    at: Duration,
    sent: u16,
    lost: u16,
    bursts: u16,
}

/// Chooses for one listener. All times are since one arbitrary start, on one steady clock.
#[derive(Clone, Debug, Default)]
pub struct Redundancy {
    last: Option<ReceptionReport>,
    steps: Vec<Step>,
    chosen: usize,
}

impl Redundancy {
    /// Takes a listener's report. What is impossible in it is left out; the worst that lies can do is that their teller
    /// gets copies it does not need.
    pub fn on_report(&mut self, now: Duration, report: &ReceptionReport) {
        if let Some(last) = self.last.replace(*report) {
            let sent = report.packets.wrapping_sub(last.packets);
            let lost = report.packets_lost.wrapping_sub(last.packets_lost);
            let bursts = report.bursts.wrapping_sub(last.bursts);
            if sent <= BETWEEN_MAX && lost <= sent && bursts <= lost {
                if self.steps.len() == REPORTS_MAX {
                    self.steps.remove(0);
                }
                self.steps.push(Step { at: now, sent, lost, bursts });
            }
        }
        self.steps.retain(|step| now.saturating_sub(step.at) < LONG);
    }

    /// The distances, in packets, at which copies go along now; `frame` is the frames' duration.
    pub fn choose(&mut self, now: Duration, frame: Duration) -> &'static [u8] {
        let loss = self.loss(now, LONG).max(self.loss(now, SHORT));
        let lost = self.sum(|step| step.lost);
        let burst = lost / self.sum(|step| step.bursts).max(1.0);
        let cost = |choice: &[u8]| cost(choice, loss, burst.max(1.0), frame.as_secs_f32() * 1e3);
        let costs = CHOICES.map(cost);
        let best = (0..CHOICES.len()).min_by(|a, b| costs[*a].total_cmp(&costs[*b])).unwrap_or(0);
        if costs[self.chosen] - costs[best] > WORTH_CHANGING || lost == 0.0 {
            self.chosen = best;
        }
        CHOICES[self.chosen]
    }

    /// The share of packets lost within `span`, 0 to 1.
    fn loss(&self, now: Duration, span: Duration) -> f32 {
        let steps = self.steps.iter().filter(|step| now.saturating_sub(step.at) < span);
        let (sent, lost) = steps.fold((0.0, 0.0), |(sent, lost), step| {
            (sent + f32::from(step.sent), lost + f32::from(step.lost))
        });
        lost / sent.max(PACKETS_MIN)
    }

    fn sum(&self, of: impl Fn(&Step) -> u16) -> f32 {
        self.steps.iter().map(|step| f32::from(of(step))).sum()
    }
}

/// What a choice costs a listener who loses a share `p` in runs of `burst`, with frames of `frame_ms`.
fn cost(distances: &[u8], p: f32, burst: f32, frame_ms: f32) -> f32 {
    let p = p.clamp(0.0, 0.5);
    let memory = (1.0 - 1.0 / burst - p / (burst * (1.0 - p))).clamp(0.0, 0.99);
    let (mut missing, mut before) = (p, 0);
    for distance in distances {
        missing *= p + (1.0 - p) * memory.powi(i32::from(distance - before));
        before = *distance;
    }
    CONCEALED_PER_PERCENT * 100.0 * missing
        + DELAY_PER_MS * frame_ms * f32::from(before)
        + COPY * distances.len() as f32
}

#[cfg(test)]
mod tests {
    use super::{ReceptionReport, Redundancy};
    use proptest::prelude::{any, prop, prop_assert, proptest};
    use std::time::Duration;

    const FRAME: Duration = Duration::from_millis(10);

    /// Reports four times a second of what `lost` says is lost of 25 packets, and in how many runs.
    fn after(redundancy: &mut Redundancy, from: u64, reports: u64, lost: (u16, u16)) -> &'static [u8] {
        let mut report = redundancy.last.unwrap_or_default();
        for n in from..from + reports {
            report.packets = report.packets.wrapping_add(25);
            report.packets_lost = report.packets_lost.wrapping_add(lost.0);
            report.bursts = report.bursts.wrapping_add(lost.1);
            redundancy.on_report(Duration::from_millis(n * 250), &report);
        }
        redundancy.choose(Duration::from_millis((from + reports) * 250), FRAME)
    }

    #[test]
    fn a_clean_path_gets_nothing_a_lossy_one_copies_at_once_until_five_seconds_after_the_last() {
        let mut redundancy = Redundancy::default();
        assert!(after(&mut redundancy, 0, 40, (0, 0)).is_empty());
        assert!(!after(&mut redundancy, 40, 2, (3, 3)).is_empty());
        assert!(!after(&mut redundancy, 42, 18, (0, 0)).is_empty());
        assert!(after(&mut redundancy, 60, 4, (0, 0)).is_empty());
    }

    #[test]
    fn more_loss_gets_more_copies_and_bursts_get_farther_ones() {
        let chosen = |lost| after(&mut Redundancy::default(), 0, 20, lost);
        assert_eq!(chosen((1, 1)).len(), 1);
        assert_eq!(chosen((3, 3)), [1, 2]);
        assert_eq!(chosen((5, 4)), [1, 2, 3]);
        let in_bursts = chosen((4, 1));
        assert!(in_bursts.iter().any(|distance| *distance >= 4), "{in_bursts:?}");
    }

    proptest! {
        #[test]
        fn no_report_panics(reports in prop::collection::vec(any::<(u64, u16, u16, u16)>(), 0..50)) {
            let mut redundancy = Redundancy::default();
            for (at, packets, packets_lost, bursts) in reports {
                let now = Duration::from_micros(at);
                let report = ReceptionReport { packets, packets_lost, bursts, ..Default::default() };
                redundancy.on_report(now, &report);
                prop_assert!(redundancy.choose(now, FRAME).len() <= crate::limits::REDUNDANT_FRAMES_MAX);
                prop_assert!(redundancy.steps.len() <= super::REPORTS_MAX);
            }
        }
    }
}
