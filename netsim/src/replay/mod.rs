//! A real call's arrivals through the same jitter buffer again.
//!
//! `roundtable host --rtlog FILE` and `join --rtlog FILE` log what each peer's buffer was given and asked, without
//! sound (`roundtable::voice::rtlog` says what is in the file and what is not). [`read`] takes such a file, [`replay`]
//! runs it through `protocol::jitter::serve`, the very code that served the live call, and explains every glitch.
//!
//! What stretching did depended on the sound, so it was logged and is fed back: without a [`WhatIf`] the replay
//! makes every decision of the live call, and [`PeerReplay::same_as_live`] tells whether its counters came out the
//! same. With a what-if the course of things changes and the logged stretches no longer fit; then each
//! stretch is taken to move by the peer's usual pitch period, the middle of what was logged (5 ms where nothing was),
//! wherever enough sound is queued: a real voice may offer no place to cut for some frames, so real stretching is a
//! little slower. To see what that alone changes, compare with `target+0ms`.
//!
//! The parts: `log` (the file as peers and pulls), `what_if`, `path` (delays above the fastest), `player` (counts
//! instead of playing), `device` (when ours asked), `watch` (where sound was made up), `glitch` (why), `run` (one
//! peer's replay), `outcome` (what came of it).

mod device;
mod glitch;
mod log;
mod outcome;
mod path;
mod player;
mod run;
#[cfg(test)]
mod tests;
mod watch;
mod what_if;

pub use glitch::{Glitch, Why};
pub use log::{Input, Log, LogError, LoggedPeer, Note, PullRun, What, read};
pub use outcome::{
    ArrivalPoint, BufferPoint, ConcealedMs, ConcealedPoint, PeerReplay, Replayed, Series, Spread, Summary,
};
pub use what_if::{Target, WhatIf, WhatIfError};

/// Runs every peer of a logged call through its buffer again, as it was or as it would have been.
pub fn replay(log: &Log, what_if: &WhatIf) -> Replayed {
    let peers: Vec<PeerReplay> = log.peers.iter().map(|peer| run::run(log, peer, what_if)).collect();
    Replayed { what_if: what_if.to_string(), missing_records: log.missing, cut_at: log.cut_at, peers }
}
