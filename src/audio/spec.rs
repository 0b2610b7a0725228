//! Which device a person asked for: the syntax of `--input` and `--output`.
//!
//! A spec is only a wish. Whether the file can be read or the named device exists is found out
//! when [`AudioSystem::start`](super::AudioSystem::start) opens it.

use std::{
    fmt::{self, Display, Formatter},
    path::PathBuf,
    str::FromStr,
};

use thiserror::Error;

/// The pitch of `tone` without a value: concert A, which everybody recognises on a first call.
const TONE_HZ_DEFAULT: f32 = 440.0;
/// Higher tones are beyond hearing and near the fold of a 48 kHz device.
const TONE_HZ_MAX: f32 = 20_000.0;

/// A sound device, as written on the command line or in the configuration.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum DeviceSpec {
    /// `default`: what the system uses for new streams, followed when the system changes it.
    #[default]
    Default,
    /// Any other word: a device's name or identifier, or a part of one that fits only one device.
    Named(String),
    /// `null`: records silence, plays to nobody, at the speed of a real device.
    Null,
    /// `tone[:HZ]`: records a sine wave at a quarter of full scale. Only an input.
    Tone {
        /// Frequency in hertz, above 0 and at most 20,000.
        hz: f32,
    },
    /// `file:PATH.wav[?loop]`: records from, or plays into, a WAV file.
    File {
        /// Where the file is.
        path: PathBuf,
        /// Start again at the end (`?loop`) rather than go on in silence. Only for inputs.
        repeat: bool,
    },
}

/// Why a text is no device spec.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SpecError {
    /// Nothing was written.
    #[error("the sound device is empty; write `default`, a device's name, `null`, `tone` or `file:PATH.wav`")]
    Empty,
    /// The value after `tone:` is not a usable frequency.
    #[error("`{0}` is not a frequency; write hertz between 1 and 20000, as in `tone:440`")]
    Frequency(String),
    /// There is no path after `file:`.
    #[error("`file:` needs the path of a WAV file, as in `file:speech.wav`")]
    NoPath,
    /// A `?` at the end of a file asks for something else than `loop`.
    #[error("`?{0}` is not known for files; the only choice is `?loop`, as in `file:speech.wav?loop`")]
    Choice(String),
}

impl FromStr for DeviceSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let text = text.trim();
        if let Some(hz) = text.strip_prefix("tone:") {
            return parse_tone(hz);
        }
        if let Some(file) = text.strip_prefix("file:") {
            return parse_file(file);
        }
        match text {
            "" => Err(SpecError::Empty),
            "default" => Ok(Self::Default),
            "null" => Ok(Self::Null),
            "tone" => Ok(Self::Tone { hz: TONE_HZ_DEFAULT }),
            name => Ok(Self::Named(name.to_owned())),
        }
    }
}

impl Display for DeviceSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Named(name) => f.write_str(name),
            Self::Null => f.write_str("null"),
            Self::Tone { hz } => write!(f, "tone:{hz}"),
            Self::File { path, repeat } => {
                write!(f, "file:{}{}", path.display(), if *repeat { "?loop" } else { "" })
            }
        }
    }
}

fn parse_tone(hz: &str) -> Result<DeviceSpec, SpecError> {
    match hz.parse::<f32>() {
        Ok(hz) if (1.0..=TONE_HZ_MAX).contains(&hz) => Ok(DeviceSpec::Tone { hz }),
        Ok(_) | Err(_) => Err(SpecError::Frequency(hz.to_owned())),
    }
}

/// Only a `?` after `.wav` separates: a question mark elsewhere is part of the file's name.
fn parse_file(file: &str) -> Result<DeviceSpec, SpecError> {
    let (path, choice) = match file.rsplit_once('?') {
        Some((path, choice)) if path.to_ascii_lowercase().ends_with(".wav") => (path, Some(choice)),
        Some(_) | None => (file, None),
    };
    if path.is_empty() {
        return Err(SpecError::NoPath);
    }
    let repeat = match choice {
        None => false,
        Some("loop") => true,
        Some(other) => return Err(SpecError::Choice(other.to_owned())),
    };
    Ok(DeviceSpec::File { path: PathBuf::from(path), repeat })
}

#[cfg(test)]
mod tests {
    use super::{DeviceSpec, SpecError};

    fn file(path: &str, repeat: bool) -> DeviceSpec {
        DeviceSpec::File { path: path.into(), repeat }
    }

    #[test]
    fn every_spelling_parses_and_prints_back() {
        for (text, spec) in [
            ("default", DeviceSpec::Default),
            ("null", DeviceSpec::Null),
            ("tone:440", DeviceSpec::Tone { hz: 440.0 }),
            ("tone:997.5", DeviceSpec::Tone { hz: 997.5 }),
            ("file:a b.wav", file("a b.wav", false)),
            ("file:/x/y.wav?loop", file("/x/y.wav", true)),
            ("file:why?.wav", file("why?.wav", false)),
            ("USB Headset: Mono", DeviceSpec::Named("USB Headset: Mono".into())),
            ("tones", DeviceSpec::Named("tones".into())),
        ] {
            assert_eq!(text.parse(), Ok(spec.clone()), "{text}");
            assert_eq!(spec.to_string(), text);
        }
        assert_eq!("tone".parse(), Ok(DeviceSpec::Tone { hz: 440.0 }));
    }

    #[test]
    fn unusable_specs_say_what_to_write() {
        for (text, error) in [
            ("", SpecError::Empty),
            ("  ", SpecError::Empty),
            ("tone:", SpecError::Frequency(String::new())),
            ("tone:NaN", SpecError::Frequency("NaN".into())),
            ("tone:0", SpecError::Frequency("0".into())),
            ("tone:30000", SpecError::Frequency("30000".into())),
            ("file:", SpecError::NoPath),
            ("file:a.wav?lop", SpecError::Choice("lop".into())),
        ] {
            assert_eq!(text.parse::<DeviceSpec>(), Err(error), "{text}");
        }
    }
}
