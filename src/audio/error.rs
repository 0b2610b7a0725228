//! Why sound could not be started, in words for the person in front of the screen.
//!
//! Only the start can fail. Whatever happens to a device later is an
//! [`AudioEvent`](super::AudioEvent), and the call goes on.

use std::path::PathBuf;

use thiserror::Error;

use super::Direction;

/// Why [`AudioSystem::start`](super::AudioSystem::start) or
/// [`list_devices`](super::list_devices) failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AudioError {
    /// A spec was given for the wrong direction.
    #[error("`{spec}` cannot be an output; choose `default`, a device's name, `null` or `file:PATH.wav`")]
    NotAnOutput {
        /// The spec as written.
        spec: String,
    },
    /// The input file is missing or is not a WAV file that can be played.
    #[error("cannot read sound from {}: {reason}; give a WAV file (16, 24 or 32 bit, or float)", path.display())]
    FileUnreadable {
        /// Which file.
        path: PathBuf,
        /// What the system or the decoder said.
        reason: String,
    },
    /// The output file cannot be created.
    #[error("cannot write sound to {}: {reason}; check the folder and its permissions", path.display())]
    FileUnwritable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// No device has that name.
    #[error("there is no {direction} device `{name}`; {available}")]
    DeviceNotFound {
        /// Which end was asked for.
        direction: Direction,
        /// The name as written.
        name: String,
        /// A sentence part that lists the names there are.
        available: String,
    },
    /// The device exists, or should, but does not open.
    #[error(
        "cannot open the {direction} device `{name}`: {reason}; connect one, start the sound server, or use `--{direction} null`"
    )]
    Unavailable {
        /// Which end was asked for.
        direction: Direction,
        /// The device as asked for.
        name: String,
        /// What the sound system said.
        reason: String,
    },
    /// The system refused a thread.
    #[error("cannot start the sound thread: {0}; close other programs and try again")]
    Thread(#[from] std::io::Error),
}
