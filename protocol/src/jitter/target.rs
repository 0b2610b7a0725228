//! How deep the buffer should be.
//!
//! The depth at which all but a small share of what lately arrived would have been in time, plus a
//! margin; where frames get lost and carry copies of those before them, one frame more. Weighing the cost of delay against the cost of concealment belongs here, later.

use super::JitterConfig;
use super::delay::DelayHistory;
use super::loss::LossHistory;

/// At 50 packets a second two late ones within the fast memory raise the target, one does not.
const FAST_SHARE: f32 = 0.98;
const SLOW_SHARE: f32 = 0.97;
/// The slow memory may hold the target up by this much only: enough to meet jitter's return halfway, too
/// little to make a call pay for long for what has ended.
const SLOW_LIFT_US: i64 = 5_000;
/// Histograms are exact to 1 ms, the engine's own timing to about as much.
const MARGIN_US: i64 = 2_000;

/// `frame_us`: duration of the stream's frames.
pub(super) fn target_us(
    delay: &DelayHistory,
    loss: &LossHistory,
    frame_us: i64,
    config: &JitterConfig,
) -> i64 {
    let fast = delay.fast.quantile_us(FAST_SHARE);
    let slow = delay.slow.quantile_us(SLOW_SHARE);
    let wanted = fast.max(slow.min(fast + SLOW_LIFT_US)) + MARGIN_US;
    let next_frame = if loss.worth_waiting() { frame_us } else { 0 };
    let least = config.target_min.as_micros() as i64;
    let most = (config.target_max.as_micros() as i64).max(least);
    (wanted + next_frame).saturating_add(config.target_shift_us).clamp(least, most)
}
