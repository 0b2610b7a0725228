//! The whole of sound over simulated devices, as the engine sees it.

use std::{
    path::Path,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};

use super::{
    AudioError, AudioEvent, AudioSystem, CaptureReader, DeviceSpec, Direction, PlaybackWriter,
    signal::{level, pitch, sine},
};

fn write_wav(path: &Path, rate: u32, channels: u16, hz: f32, seconds: f32) {
    let spec = WavSpec { channels, sample_rate: rate, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let mut writer = WavWriter::create(path, spec).unwrap();
    for sample in sine(hz, rate, (rate as f32 * seconds) as usize, 0.5) {
        for _ in 0..channels {
            writer.write_sample((sample * 32_768.0) as i16).unwrap();
        }
    }
    writer.finalize().unwrap();
}

/// Echoes what is captured for `time`, waking every 2 ms, and returns it.
fn loop_back(reader: &mut CaptureReader, writer: &mut PlaybackWriter, time: Duration) -> Vec<f32> {
    let (end, mut heard, mut played) = (Instant::now() + time, Vec::new(), 0);
    while Instant::now() < end {
        let mut block = vec![0.0; reader.available()];
        assert!(reader.read(&mut block));
        heard.extend_from_slice(&block);
        let wanted = writer.wanted();
        let ready = heard.len().min(played + wanted);
        writer.write(&heard[played..ready]);
        writer.write(&vec![0.0; wanted - (ready - played)]);
        played = ready;
        thread::sleep(Duration::from_millis(2));
    }
    heard
}

#[test]
fn files_of_every_rate_and_width_arrive_as_48_khz_mono_in_real_time() {
    let dir = tempfile::tempdir().unwrap();
    for (rate, channels) in [(8_000, 1), (44_100, 2), (96_000, 6)] {
        let path = dir.path().join(format!("{rate}.wav"));
        write_wav(&path, rate, channels, 500.0, 0.3);
        let input = DeviceSpec::File { path, repeat: true };
        let (system, mut reader, mut writer) = AudioSystem::start(input, DeviceSpec::Null, |_| {}).unwrap();
        let heard = loop_back(&mut reader, &mut writer, Duration::from_millis(700));
        system.stop();
        assert!((31_000..34_000).contains(&heard.len()), "{rate}: {} samples in 0.7 s", heard.len());
        let steady = &heard[2400..];
        assert!((pitch(steady, 48_000) - 500.0).abs() < 2.0, "{rate}: {} Hz", pitch(steady, 48_000));
        assert!((level(steady) - 0.5).abs() < 0.02, "{rate}: {}", level(steady));
    }
}

#[test]
fn what_is_heard_is_written_to_the_file_without_a_gap_and_both_ends_know_their_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.wav");
    let (events, happened) = mpsc::channel();
    let (system, mut reader, mut writer) = AudioSystem::start(
        DeviceSpec::Tone { hz: 440.0 },
        DeviceSpec::File { path: path.clone(), repeat: false },
        move |event| drop(events.send(event)),
    )
    .unwrap();
    loop_back(&mut reader, &mut writer, Duration::from_millis(1500));
    let counters = system.counters();
    let asked = Instant::now();
    system.stop();
    assert!(asked.elapsed() < Duration::from_millis(500));

    let samples: Vec<f32> =
        WavReader::open(&path).unwrap().samples::<i16>().map(|s| f32::from(s.unwrap()) / 32_768.0).collect();
    assert!((71_000..76_000).contains(&samples.len()), "{}", samples.len());
    let steady = &samples[samples.len() - 36_000..];
    assert!((pitch(steady, 48_000) - 440.0).abs() < 1.0, "{}", pitch(steady, 48_000));
    assert!((level(steady) - 0.25).abs() < 0.02, "{}", level(steady));
    assert!(counters.playback.read().level_ms < 25.0, "{:?}", counters.playback.read());

    let starts: Vec<u64> = happened
        .try_iter()
        .map(|event| match event {
            AudioEvent::Opened { started_unix_us: Some(at), .. } => at,
            other => panic!("{other:?}"),
        })
        .collect();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as u64;
    assert_eq!(starts.len(), 2);
    assert!(starts.iter().all(|at| (1_400_000..3_000_000).contains(&(now - at))), "{starts:?} {now}");
}

#[test]
fn a_clap_is_heard_within_a_few_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let (input, output) = (dir.path().join("clap.wav"), dir.path().join("out.wav"));
    let spec =
        WavSpec { channels: 1, sample_rate: 48_000, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let mut writer = WavWriter::create(&input, spec).unwrap();
    for n in 0..72_000 {
        writer.write_sample(if n == 48_000 { i16::MAX } else { 0 }).unwrap();
    }
    writer.finalize().unwrap();
    let (events, happened) = mpsc::channel();
    let (system, mut reader, mut writer) = AudioSystem::start(
        DeviceSpec::File { path: input, repeat: false },
        DeviceSpec::File { path: output.clone(), repeat: false },
        move |event| drop(events.send(event)),
    )
    .unwrap();
    loop_back(&mut reader, &mut writer, Duration::from_millis(1400));
    let stats = system.counters().playback.read();
    system.stop();

    let mut started = [0; 2];
    for event in happened.try_iter() {
        if let AudioEvent::Opened { direction, started_unix_us: Some(at), .. } = event {
            started[usize::from(direction == Direction::Output)] = at;
        }
    }
    let clap = WavReader::open(&output).unwrap().samples::<i16>().position(|s| s.unwrap() > 16_000).unwrap();
    let spoken_us = started[0] + 1_000_000;
    let heard_us = started[1] + clap as u64 * 1_000_000 / 48_000;
    let delay_ms = (heard_us - spoken_us) as f32 / 1000.0;
    println!("{delay_ms} ms, {stats:?}");
    // Capture block 10, wake-up 2, wait for the next playback block 10, lead 5, that block 10;
    // the rest is for a busy machine, whose underruns lengthen the lead.
    assert!((15.0..60.0).contains(&delay_ms), "{delay_ms} ms, {stats:?}");
}

#[test]
fn a_file_without_loop_is_followed_by_silence() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("short.wav");
    write_wav(&path, 48_000, 1, 500.0, 0.2);
    let input = DeviceSpec::File { path, repeat: false };
    let (_system, mut reader, mut writer) = AudioSystem::start(input, DeviceSpec::Null, |_| {}).unwrap();
    let heard = loop_back(&mut reader, &mut writer, Duration::from_millis(500));
    assert!(level(&heard[..7200]) > 0.4);
    assert_eq!(level(&heard[12_000..]), 0.0);
}

#[test]
fn unusable_devices_are_refused_before_the_call() {
    let start = |input, output| AudioSystem::start(input, output, |_| {}).err().expect("it is refused");
    let looped = DeviceSpec::File { path: "x.wav".into(), repeat: true };
    let missing = DeviceSpec::File { path: "no/such.wav".into(), repeat: false };
    for output in [DeviceSpec::Tone { hz: 440.0 }, looped] {
        let error = start(DeviceSpec::Null, output);
        assert!(matches!(error, AudioError::NotAnOutput { .. }), "{error}");
    }
    assert!(matches!(start(missing.clone(), DeviceSpec::Null), AudioError::FileUnreadable { .. }));
    assert!(matches!(start(DeviceSpec::Null, missing), AudioError::FileUnwritable { .. }));
    assert_eq!(Direction::Input.to_string(), "input");
}

#[test]
fn the_engine_s_ends_can_move_to_the_voice_thread() {
    fn moves<T: Send + 'static>() {}
    moves::<CaptureReader>();
    moves::<PlaybackWriter>();
    moves::<AudioSystem>();
}
