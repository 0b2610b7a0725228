//! Sound devices behind one interface: the engine reads and writes 48 kHz mono, and never learns
//! what is at the other end.
//!
//! A device's callback and the engine share a ring. The callback copies and counts; a supervisor
//! thread for each direction opens devices, notices when one dies, lets a silent one keep the
//! clock meanwhile, and frees what the others must not. Files, tones and silence are devices like
//! any other, so a machine without a sound card can take part in a call.
//!
//! Left out: processing of any kind (the voice engine's), and echo's far-end reference.

#[cfg(test)]
mod allocation_tests;
mod callback;
mod capture;
mod counters;
mod demand;
mod error;
mod hardware;
mod hosts;
mod line;
mod playback;
mod rate;
#[cfg(test)]
mod signal;
mod simulated;
pub mod spec;
mod supervisor;
mod system;
#[cfg(test)]
mod system_tests;
mod wav;

pub use capture::CaptureReader;
pub use counters::{AudioCounters, DirectionCounters, DirectionStats};
pub use error::AudioError;
pub use hosts::{DeviceInfo, list_devices};
pub use playback::PlaybackWriter;
pub use rate::RateConverter;
pub use spec::{DeviceSpec, SpecError};
pub use system::{AudioEvent, AudioSystem, Direction};

pub(crate) use system::EventHandler;
