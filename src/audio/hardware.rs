//! Real sound hardware, through cpal: finding a device, choosing a format, opening a stream.
//!
//! On Linux PulseAudio (or PipeWire speaking its protocol) is asked first and ALSA only where no
//! server answers: ALSA's own way into a sound server reports wrong sizes and glitches. A stream
//! tells of its trouble only through [`Health`]; what to do about it is the supervisor's business.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use cpal::{
    BufferSize, Device, Error, ErrorKind, FromSample, Host, I24, SampleFormat, SizedSample, Stream,
    StreamConfig, SupportedBufferSize, SupportedStreamConfig, U24,
    traits::{DeviceTrait, HostTrait, StreamTrait},
};

use super::{
    AudioCounters,
    callback::{CaptureCallback, PlaybackCallback},
    hosts,
    line::{Capture, ENGINE_RATE, LineEnd, Playback, Side},
    rate::RATES,
};

/// Buffers a second to ask for, best first: 5, 10, 20 and 40 ms. Never the system's default,
/// which is 2 s of playback on PulseAudio.
pub(crate) const BUFFERS: [u32; 4] = [200, 100, 50, 25];
/// A server that takes longer to make a stream is hung.
const OPEN_TIMEOUT: Duration = Duration::from_secs(2);

/// How a stream is, written by its error callback and read by the supervisor. The error callback
/// can come a million times after a server's death, so it does nothing else.
#[derive(Debug, Default)]
pub(crate) struct Health {
    fault: AtomicU8,
    xruns: AtomicU32,
}

/// An open stream. Dropping it closes it, on the thread that opened it.
pub(crate) struct OpenStream {
    pub(crate) health: Arc<Health>,
    pub(crate) name: String,
    pub(crate) channels: usize,
    _stream: Stream,
}

impl Health {
    /// What ended the stream, if something did.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        match self.fault.load(Relaxed) {
            0 => None,
            1 => Some("the device is gone"),
            2 => Some("the sound server went away"),
            3 => Some("access to the device was taken away"),
            _ => Some("the sound system reported an error"),
        }
    }

    /// Glitches inside the sound system since the last call.
    pub(crate) fn take_xruns(&self) -> u32 {
        self.xruns.swap(0, Relaxed)
    }

    fn on_error(&self, kind: ErrorKind) {
        let fault = match kind {
            ErrorKind::Xrun => {
                self.xruns.fetch_add(1, Relaxed);
                return;
            }
            ErrorKind::DeviceChanged | ErrorKind::RealtimeDenied => return,
            ErrorKind::DeviceNotAvailable => 1,
            ErrorKind::HostUnavailable | ErrorKind::StreamInvalidated => 2,
            ErrorKind::PermissionDenied => 3,
            _ => 4,
        };
        self.fault.store(fault, Relaxed);
    }
}

/// A direction that real hardware can serve.
pub(crate) trait HardwareSide: Side {
    fn default_device(host: &Host) -> Option<Device>;
    fn devices(host: &Host) -> Result<Vec<Device>, Error>;
    fn default_config(device: &Device) -> Result<SupportedStreamConfig, Error>;
    fn supports(device: &Device, channels: u16, format: SampleFormat, rate: u32) -> bool;
    fn build<T>(
        device: &Device,
        config: StreamConfig,
        callback: Self::Callback,
        health: Arc<Health>,
    ) -> Result<Stream, Error>
    where
        T: SizedSample + FromSample<f32>,
        f32: FromSample<T>;
}

impl HardwareSide for Capture {
    fn default_device(host: &Host) -> Option<Device> {
        host.default_input_device()
    }

    fn devices(host: &Host) -> Result<Vec<Device>, Error> {
        Ok(host.input_devices()?.collect())
    }

    fn default_config(device: &Device) -> Result<SupportedStreamConfig, Error> {
        device.default_input_config()
    }

    fn supports(device: &Device, channels: u16, format: SampleFormat, rate: u32) -> bool {
        device.supported_input_configs().is_ok_and(|mut configs| {
            configs.any(|c| c.channels() == channels && c.sample_format() == format && c.contains_rate(rate))
        })
    }

    fn build<T>(
        device: &Device,
        config: StreamConfig,
        mut callback: CaptureCallback,
        health: Arc<Health>,
    ) -> Result<Stream, Error>
    where
        T: SizedSample + FromSample<f32>,
        f32: FromSample<T>,
    {
        device.build_input_stream(
            config,
            move |data: &[T], _| callback.handle(data),
            move |error| health.on_error(error.kind()),
            Some(OPEN_TIMEOUT),
        )
    }
}

impl HardwareSide for Playback {
    fn default_device(host: &Host) -> Option<Device> {
        host.default_output_device()
    }

    fn devices(host: &Host) -> Result<Vec<Device>, Error> {
        Ok(host.output_devices()?.collect())
    }

    fn default_config(device: &Device) -> Result<SupportedStreamConfig, Error> {
        device.default_output_config()
    }

    fn supports(device: &Device, channels: u16, format: SampleFormat, rate: u32) -> bool {
        device.supported_output_configs().is_ok_and(|mut configs| {
            configs.any(|c| c.channels() == channels && c.sample_format() == format && c.contains_rate(rate))
        })
    }

    fn build<T>(
        device: &Device,
        config: StreamConfig,
        mut callback: PlaybackCallback,
        health: Arc<Health>,
    ) -> Result<Stream, Error>
    where
        T: SizedSample + FromSample<f32>,
        f32: FromSample<T>,
    {
        device.build_output_stream(
            config,
            move |data: &mut [T], _| callback.handle(data),
            move |error| health.on_error(error.kind()),
            Some(OPEN_TIMEOUT),
        )
    }
}

/// Opens and starts `device`, asking for `BUFFERS[step]` and larger ones until one is granted.
pub(crate) fn open<S: HardwareSide>(
    device: &Device,
    step: usize,
    counters: &Arc<AudioCounters>,
) -> Result<(OpenStream, LineEnd<S::Ring>), Error> {
    let supported = S::default_config(device)?;
    let (channels, format) = (supported.channels(), supported.sample_format());
    let rate = choose_rate::<S>(device, &supported);
    if !RATES.contains(&rate) || channels == 0 {
        return Err(Error::with_message(
            ErrorKind::UnsupportedConfig,
            format!("{channels} channels at {rate} Hz"),
        ));
    }
    let mut refused = None;
    for per_second in BUFFERS.iter().skip(step.min(BUFFERS.len() - 1)) {
        let frames = clamp(rate / per_second, supported.buffer_size());
        let config = StreamConfig { channels, sample_rate: rate, buffer_size: BufferSize::Fixed(frames) };
        let (callback, mut end) = S::line(rate, usize::from(channels), counters);
        let health = Arc::new(Health::default());
        let built = build_format::<S>(device, format, config, callback, health.clone())
            .and_then(|stream| stream.play().map(|()| stream));
        match built {
            Ok(stream) => {
                end.block_frames = stream.buffer_size().unwrap_or(frames);
                let name = display_name(device);
                return Ok((
                    OpenStream { health, name, channels: usize::from(channels), _stream: stream },
                    end,
                ));
            }
            Err(error) if error.kind() == ErrorKind::UnsupportedConfig => refused = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(refused.unwrap_or_else(|| Error::new(ErrorKind::UnsupportedConfig)))
}

/// The device's own rate on a sound server, which knows it; elsewhere 48 kHz where offered,
/// because then nothing needs converting.
fn choose_rate<S: HardwareSide>(device: &Device, supported: &SupportedStreamConfig) -> u32 {
    if !hosts::on_server(device)
        && S::supports(device, supported.channels(), supported.sample_format(), ENGINE_RATE)
    {
        return ENGINE_RATE;
    }
    supported.sample_rate()
}

fn clamp(frames: u32, size: &SupportedBufferSize) -> u32 {
    match size {
        SupportedBufferSize::Range { min, max } => frames.max(*min).min(*max).max(1),
        SupportedBufferSize::Unknown => frames,
    }
}

fn build_format<S: HardwareSide>(
    device: &Device,
    format: SampleFormat,
    config: StreamConfig,
    callback: S::Callback,
    health: Arc<Health>,
) -> Result<Stream, Error> {
    match format {
        SampleFormat::I8 => S::build::<i8>(device, config, callback, health),
        SampleFormat::I16 => S::build::<i16>(device, config, callback, health),
        SampleFormat::I24 => S::build::<I24>(device, config, callback, health),
        SampleFormat::I32 => S::build::<i32>(device, config, callback, health),
        SampleFormat::I64 => S::build::<i64>(device, config, callback, health),
        SampleFormat::U8 => S::build::<u8>(device, config, callback, health),
        SampleFormat::U16 => S::build::<u16>(device, config, callback, health),
        SampleFormat::U24 => S::build::<U24>(device, config, callback, health),
        SampleFormat::U32 => S::build::<u32>(device, config, callback, health),
        SampleFormat::U64 => S::build::<u64>(device, config, callback, health),
        SampleFormat::F32 => S::build::<f32>(device, config, callback, health),
        SampleFormat::F64 => S::build::<f64>(device, config, callback, health),
        other => Err(Error::with_message(ErrorKind::UnsupportedConfig, format!("samples of format {other}"))),
    }
}

/// What a person calls the device.
pub(crate) fn display_name(device: &Device) -> String {
    device.description().map_or_else(|_| "unknown device".to_owned(), |described| described.name().to_owned())
}
