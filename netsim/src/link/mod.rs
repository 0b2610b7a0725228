//! One direction of a link: what it does to the packets it is given.
//!
//! A [`LinkConfig`] says in plain data how a link behaves; a [`Link`] built from it and a seed says of each packet
//! offered whether and when it arrives ([`Fate`]). It is arithmetic on times: no socket, no clock, no task. The same
//! config, seed and offers give the same fates.
//!
//! A packet passes these stages, each there only if the config asks for it:
//! 1. the MTU ([`LinkConfig::mtu_bytes`]);
//! 2. a FIFO queue of so many bytes, shared with cross traffic, before a transmitter that stalls, has a rate, waits for
//!    uplink grants or for a trace's delivery opportunities;
//! 3. the wire, which outages cut;
//! 4. delay in order: base delay, spikes, jitter, link-layer retransmissions;
//! 5. loss: random, in bursts, by a trace;
//! 6. delay free of order: a delay trace, reordering jitter; and duplication.
//!
//! Each random mechanism draws from a stream of its own, once for every packet offered whatever becomes of it, so that
//! asking for other loss leaves every other packet's delay as it was.
//!
//! Left out: corruption (UDP's checksum makes it loss), ECN, active queue management, a queue shared between the two
//! directions. Packets that have left for the wire are not touched by a later change.

mod bottleneck;
mod change;
mod check;
mod config;
mod cross_traffic;
mod fate;
mod gate;
mod loss;
mod pipeline;
mod profiles;
mod slots;
mod spread;
mod stalls;
mod trace;

pub use change::{Change, Mechanism};
pub use check::LinkError;
pub use config::{
    BurstLoss, CrossTraffic, DelayTraceUse, GilbertElliott, Grants, LinkConfig, OpportunityTraceUse, Outage,
    Spike, Stalls, TraceFileError,
};
pub use fate::{DropReason, Fate};
pub use pipeline::Link;
pub use profiles::{PROFILES, Profile, profile};
pub use spread::Spread;
pub use trace::{BUNDLED_TRACES, DelayTrace, OpportunityTrace, TraceError, bundled_trace};
