//! What is told of a call that NetEQ lived through.

use super::super::Quantiles;
use serde::Serialize;

/// What NetEQ made of the call so far.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct NetEqReport {
    /// From the end of a frame in the microphone to the start of its playing, of speech that was played.
    pub delay: Option<Quantiles>,
    /// The concealed share of the speech, 0 to 1; see [`Concealment`](super::super::Concealment).
    pub concealed_share: f64,
    /// The speech that was due, in milliseconds.
    pub speech_ms: f64,
    /// What of it was concealed, in milliseconds.
    pub concealed_ms: f64,
    /// Sound cut out to catch up, in milliseconds.
    pub accelerated_ms: f64,
    /// Sound played twice to fall back, in milliseconds.
    pub expanded_ms: f64,
    /// Frames that came when playing had passed them, for whatever was played instead.
    pub late_frames: u64,
    /// The depth wanted now, in milliseconds.
    pub target_ms: u64,
}
