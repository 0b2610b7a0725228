//! `roundtable devices`.

use super::args::DevicesArgs;
use super::exit::Failure;
use crate::audio::{DeviceInfo, Direction, list_devices};
use serde_json::json;

pub(super) fn run(args: &DevicesArgs) -> Result<(), Failure> {
    let devices = list_devices()?;
    for device in &devices {
        if args.json {
            println!("{}", as_json(device));
        } else {
            println!("{}", as_line(device));
        }
    }
    if devices.is_empty() && !args.json {
        eprintln!("no sound devices; --input null or a file still lets you take part");
    }
    Ok(())
}

fn as_json(device: &DeviceInfo) -> serde_json::Value {
    json!({
        "direction": device.direction.to_string(),
        "name": device.name,
        "default": device.is_default,
        "rate": device.rate,
        "channels": device.channels,
    })
}

fn as_line(device: &DeviceInfo) -> String {
    let direction = match device.direction {
        Direction::Input => "microphone",
        Direction::Output => "speaker   ",
    };
    let default = if device.is_default { "  (default)" } else { "" };
    format!("{direction}  {}  {} Hz, {} channels{default}", device.name, device.rate, device.channels)
}
