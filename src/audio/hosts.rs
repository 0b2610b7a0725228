//! Which sound systems there are, and which device a name means in them.
//!
//! Devices are looked up anew for every attempt to open one: a sound server that was restarted
//! is another server, and a headset plugged in again another device.

use cpal::{Device, Error, ErrorKind, Host, HostId, traits::DeviceTrait};

use super::{
    AudioError, Direction,
    hardware::{HardwareSide, display_name},
    line::{Capture, Playback},
};

/// A real device, as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Default,
    Named(String),
}

/// Which sound systems an attempt may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// All of them.
    Any,
    /// Only a sound server. For a while after a server died: opening its hardware directly
    /// would keep the restarted server from it.
    Server,
}

/// Why no device was found.
#[derive(Debug)]
pub(crate) enum FindError {
    /// The sound systems answer, and have no device of that name; these are the names.
    Unknown(Vec<String>),
    /// No sound system offers any.
    Failed(Error),
}

/// A device that the system offers, for a person to choose from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Its name, as people know it; `--input` and `--output` take it.
    pub name: String,
    /// Its identifier in the sound system, which they take as well.
    pub id: String,
    /// Whether it records or plays.
    pub direction: Direction,
    /// Whether the system uses it when nothing is said.
    pub is_default: bool,
    /// Its own sample rate in hertz, 0 if it does not tell.
    pub rate: u32,
    /// Its own number of channels, 0 if it does not tell.
    pub channels: u16,
}

/// All real devices of the first sound system that answers.
pub fn list_devices() -> Result<Vec<DeviceInfo>, AudioError> {
    let failed = |direction, error: Error| AudioError::Unavailable {
        direction,
        name: "default".to_owned(),
        reason: reason(&error),
    };
    let mut failure = no_host();
    let answering = hosts(Reach::Any).find_map(|host| host.map_err(|error| failure = error).ok());
    let host = answering.ok_or_else(|| failed(Direction::Input, failure))?;
    let mut infos = describe::<Capture>(&host).map_err(|error| failed(Direction::Input, error))?;
    infos.extend(describe::<Playback>(&host).map_err(|error| failed(Direction::Output, error))?);
    Ok(infos)
}

/// Looks the device up in each sound system in turn.
pub(crate) fn find<S: HardwareSide>(target: &Target, reach: Reach) -> Result<Device, FindError> {
    let mut names = Vec::new();
    let mut failure = no_host();
    for host in hosts(reach) {
        let host = match host {
            Ok(host) => host,
            Err(error) => {
                failure = error;
                continue;
            }
        };
        match target {
            Target::Default => match S::default_device(&host) {
                Some(device) => return Ok(device),
                None => failure = Error::with_message(ErrorKind::DeviceNotAvailable, "there is none"),
            },
            Target::Named(name) => match S::devices(&host) {
                Ok(devices) => {
                    let known: Vec<[String; 2]> =
                        devices.iter().map(|device| [display_name(device), identifier(device)]).collect();
                    if let Some(index) = best_match(name, &known) {
                        return Ok(devices.into_iter().nth(index).expect("the index is into this list"));
                    }
                    names.extend(known.into_iter().map(|[name, _]| name));
                }
                Err(error) => failure = error,
            },
        }
    }
    if names.is_empty() { Err(FindError::Failed(failure)) } else { Err(FindError::Unknown(names)) }
}

/// Whether the device belongs to a server, which knows its devices, rather than being hardware.
pub(crate) fn on_server(device: &Device) -> bool {
    device.id().is_ok_and(|id| is_server(id.host()))
}

#[cfg(any(target_os = "linux", target_os = "dragonfly", target_os = "freebsd", target_os = "netbsd"))]
fn is_server(host: HostId) -> bool {
    host == HostId::PulseAudio
}

#[cfg(not(any(target_os = "linux", target_os = "dragonfly", target_os = "freebsd", target_os = "netbsd")))]
fn is_server(_host: HostId) -> bool {
    false
}

#[cfg(any(target_os = "linux", target_os = "dragonfly", target_os = "freebsd", target_os = "netbsd"))]
fn hosts(reach: Reach) -> impl Iterator<Item = Result<Host, Error>> {
    let ids: &[HostId] = match reach {
        Reach::Any => &[HostId::PulseAudio, HostId::Alsa],
        Reach::Server => &[HostId::PulseAudio],
    };
    let mut ids = ids.iter();
    // One after the other: asking ALSA is slow, and only done when it is needed.
    std::iter::from_fn(move || {
        let id = ids.next()?;
        if *id == HostId::Alsa {
            silence_alsa();
        }
        Some(cpal::host_from_id(*id))
    })
}

/// Keeps alsa-lib from printing to stderr, over the screen, what it also returns as errors.
///
/// Its messages go to a buffer of this thread instead; a fresh one each time bounds it.
#[cfg(target_os = "linux")]
fn silence_alsa() {
    // Without the buffer the messages are printed: ugly, and no reason to do without sound.
    let _ = alsa::Output::local_error_handler();
}

/// Here there is no way to quieten it.
#[cfg(any(target_os = "dragonfly", target_os = "freebsd", target_os = "netbsd"))]
fn silence_alsa() {}

#[cfg(not(any(target_os = "linux", target_os = "dragonfly", target_os = "freebsd", target_os = "netbsd")))]
fn hosts(_reach: Reach) -> impl Iterator<Item = Result<Host, Error>> {
    std::iter::once_with(|| Ok(cpal::default_host()))
}

fn no_host() -> Error {
    Error::with_message(ErrorKind::HostUnavailable, "no sound system answers")
}

/// What a sound system said, as a part of a sentence.
pub(crate) fn reason(error: &Error) -> String {
    error.to_string().trim_end_matches('.').to_owned()
}

fn identifier(device: &Device) -> String {
    device.id().map_or_else(|_| String::new(), |id| id.id().to_owned())
}

/// The exact name or identifier, or else the only device with `wanted` somewhere in either;
/// upper and lower case are the same.
fn best_match(wanted: &str, known: &[[String; 2]]) -> Option<usize> {
    let wanted = wanted.to_lowercase();
    let lowered: Vec<[String; 2]> =
        known.iter().map(|[name, id]| [name.to_lowercase(), id.to_lowercase()]).collect();
    if let Some(index) = lowered.iter().position(|names| names.contains(&wanted)) {
        return Some(index);
    }
    let mut partly =
        lowered.iter().enumerate().filter(|(_, names)| names.iter().any(|n| n.contains(&wanted)));
    match (partly.next(), partly.next()) {
        (Some((index, _)), None) => Some(index),
        (None, _) | (Some(_), Some(_)) => None,
    }
}

fn describe<S: HardwareSide>(host: &Host) -> Result<Vec<DeviceInfo>, Error> {
    let default = S::default_device(host).map(|device| identifier(&device));
    let devices = S::devices(host)?;
    Ok(devices
        .iter()
        .map(|device| {
            let config = S::default_config(device).ok();
            let id = identifier(device);
            DeviceInfo {
                name: display_name(device),
                direction: S::DIRECTION,
                is_default: default.as_ref() == Some(&id),
                id,
                rate: config.map_or(0, |config| config.sample_rate()),
                channels: config.map_or(0, |config| config.channels()),
            }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::best_match;

    #[test]
    fn a_name_means_the_exact_device_or_the_only_one_it_is_part_of() {
        let known =
            [["Built-in Audio", "pci.analog"], ["Built-in Audio HDMI", "pci.hdmi"], ["Headset", "usb"]]
                .map(|names| names.map(str::to_owned));
        for (wanted, found) in [
            ("Built-in Audio", Some(0)),
            ("built-in audio hdmi", Some(1)),
            ("USB", Some(2)),
            ("hdmi", Some(1)),
            ("Built-in", None),
            ("webcam", None),
        ] {
            assert_eq!(best_match(wanted, &known), found, "{wanted}");
        }
    }
}
