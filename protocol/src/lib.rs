//! The pure core of roundtable.
//!
//! Nothing in here opens a socket, reads a clock, starts a thread, touches a device or draws a random
//! number: the present moment, seeds and addresses are arguments. The same code therefore runs live, in
//! virtual time, and under a fuzzer.

pub mod chat;
pub mod control;
pub mod demux;
pub mod door;
pub mod entropy;
pub mod group;
pub mod ice;
pub mod id;
pub mod identity;
pub mod impairment;
pub mod invite;
pub mod jitter;
pub mod limits;
pub mod local;
pub mod media;
pub mod name;
pub mod noise;
pub mod path;
pub mod reach;
pub mod reflexive;
pub mod reply;
pub mod stun;
pub mod turn;
pub mod verification;
mod visible;
