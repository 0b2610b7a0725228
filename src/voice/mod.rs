//! What happens to voices between the network and the device.
//!
//! Everything in here runs on the voice thread at the pace of the device: 48 kHz, mono, `f32`. Each peer has a
//! [`Receiver`], which turns frames into sound; the [`Mixer`] makes one sound of many. Neither allocates, locks
//! or logs once built.

mod activity;
mod comfort;
pub mod decoder;
pub mod encoder;
pub mod engine;
mod limiter;
mod mixer;
pub mod observer;
mod player;
mod queue;
mod receiver;
pub mod recorder;
mod rhythm;
pub mod rtlog;
mod stretch;
pub mod thread;

pub use mixer::Mixer;
pub use receiver::{PullNote, Receiver, ReceiverReport};
