//! Finding direct paths: a reduced full ICE agent (RFC 8445).
//!
//! [`Agent`] is one peer's: it checks every pair of an address of ours and one of theirs with STUN requests that both
//! sides send and answer, keeps those in use alive (consent, RFC 7675), and says what works. Which of the working ones
//! carries voice is not decided here but in [`crate::path`].
//!
//! What is left out or different from the RFC, and why:
//! - One component, no frozen pairs, no check list states: there is one stream, and pairs are few.
//! - Candidates may be added and removed at any time (trickle, RFC 8838); there is no end of candidates.
//! - Any valid pair may be used before nomination, which only tells the controlled side what the controlling one uses.
//! - Credentials come from the session that is already authenticated, so a change of network needs no restart with new
//!   ones: [`Agent::recheck`] checks everything again.
//! - Checks towards public addresses begin with one packet that dies after two hops. It opens our own NAT; a first
//!   packet that reached the other side's router before that side has sent anything may be taken by the router itself,
//!   which then maps the other side's packets to another port for good.
//! - Ports of a NAT that hands them out in order are *predicted*, and between a NAT with random ports and one that keeps
//!   its port a pair is found *by chance* ([`birthday`]), since neither can be reached by the addresses they are told.
//! - A pair that worked and was cut is tried again every 15 s for ten minutes: nobody tells us that a cable was mended.
//! - A private address is only sent to when one of ours looks to be in the same network: else it is somebody else's.
//!
//! Nothing that is not authentic is answered or remembered, and an address in an answer is never sent to.

mod agent;
mod birthday;
mod candidate;
mod check;
mod filter;
mod nat;
mod nat_meaning;
mod pair;
#[cfg(test)]
mod robustness;
#[cfg(test)]
mod tests;

pub use agent::{Agent, AgentConfig, Counters, Event, Role, Transmit};
pub use candidate::{Candidate, CandidateKind, Mapping, NatReport};
pub use check::{Credentials, username_of};
pub use nat::{Observation, classify};
