//! Synthetic voices over simulated paths, through the real codec.

use super::Receiver;
use opus::{Application, Bitrate, Channels, Decoder, Encoder, Signal};
use protocol::jitter::Inserted;
use protocol::media::{Frame, FrameBytes, FrameOrigin, MediaTime};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

const FRAME: usize = 960;
const WORKS: &str = "the codec works and its frames fit";

/// A voice: harmonics of a pitch that wanders, with syllables.
fn voiced(seconds: usize) -> Vec<f32> {
    let mut phase = 0.0_f32;
    (0..seconds * 48_000)
        .map(|n| {
            let t = n as f32 / 48_000.0;
            let hertz = 130.0 + 20.0 * (t * 1.3).sin();
            phase = (phase + hertz / 48_000.0).fract();
            let syllable = 0.6 + 0.4 * (t * 4.0 * std::f32::consts::TAU).sin();
            let harmonics: f32 =
                (1..=12).map(|k| (phase * k as f32 * std::f32::consts::TAU).sin() / k as f32).sum();
            0.15 * syllable * harmonics
        })
        .collect()
}

fn encode(sound: &[f32]) -> Vec<Frame> {
    let mut encoder = Encoder::new(48_000, Channels::Mono, Application::Voip).expect(WORKS);
    encoder.set_bitrate(Bitrate::Bits(32_000)).expect(WORKS);
    // Otherwise such a steady voice is taken for music, which has no error correction.
    encoder.set_signal(Signal::Voice).expect(WORKS);
    encoder.set_inband_fec(true).expect(WORKS);
    encoder.set_packet_loss_perc(5).expect(WORKS);
    let mut packet = [0; 400];
    sound
        .chunks_exact(FRAME)
        .enumerate()
        .map(|(n, sound)| {
            let len = encoder.encode_float(sound, &mut packet).expect(WORKS);
            Frame {
                sequence: n as u64,
                time: MediaTime(1_000 + n as u64 * 8),
                ticks: 8,
                talkspurt_start: n == 0,
                talkspurt_end: false,
                origin: FrameOrigin::Primary,
                payload: FrameBytes::new(&packet[..len]).expect(WORKS),
            }
        })
        .collect()
}

/// Sends frames over a path of 30 ms with what `path` does to each (`None` loses it), and plays them.
fn call(frames: &[Frame], mut path: impl FnMut(&Frame) -> Option<u64>) -> (Receiver, Vec<f32>) {
    let mut receiver = Receiver::new().expect(WORKS);
    let mut packets: Vec<(u64, Frame)> = frames
        .iter()
        .filter_map(|frame| {
            path(frame).map(|more| (30_300 + (frame.time.0 - 1_000 + 8) * 2_500 + more, *frame))
        })
        .collect();
    packets.sort_by_key(|&(arrival, _)| arrival);
    let mut packets = packets.into_iter().peekable();
    let mut heard = Vec::new();
    for pull in 0..frames.len() as u64 * 2 {
        let now = pull * 10_000;
        while let Some((arrival, frame)) = packets.next_if(|&(arrival, _)| arrival <= now) {
            receiver.insert(Duration::from_micros(arrival), &frame);
        }
        let mut out = [0.0; 480];
        receiver.pull(Duration::from_micros(now), &mut out);
        heard.extend_from_slice(&out);
    }
    (receiver, heard)
}

fn energy(sound: &[f32]) -> f32 {
    sound.iter().map(|sample| sample * sample).sum::<f32>() / sound.len() as f32
}

fn steepest(sound: &[f32]) -> f32 {
    sound.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max)
}

#[test]
fn a_clean_call_is_heard_unchanged_ten_ms_later() {
    let frames = encode(&voiced(4));
    let (receiver, heard) = call(&frames, |_| Some(0));
    let report = receiver.report();
    assert_eq!(report.jitter.concealed.total(), Duration::ZERO);
    assert_eq!(report.corrupt, 0);
    assert!(receiver.talking());
    // What the codec makes of it, without a network: the same, sample by sample, a constant time later.
    let mut decoder = Decoder::new(48_000, Channels::Mono).expect(WORKS);
    let mut decoded = vec![0.0; frames.len() * FRAME];
    for (frame, sound) in frames.iter().zip(decoded.chunks_exact_mut(FRAME)) {
        decoder.decode_float(frame.payload.as_slice(), sound, false).expect(WORKS);
    }
    let same = |delay: &usize| heard[48_000 + delay..96_000 + delay] == decoded[48_000..96_000];
    let delay = (0..4_800).find(same).expect("the decoded sound is heard unchanged");
    // 30.3 ms of path, 20 of the frame, and what the buffer adds.
    let added_ms = delay as f32 / 48.0 - 30.3 - 20.0;
    assert!((0.0..=10.0).contains(&added_ms), "{added_ms} ms");
}

#[test]
fn five_percent_loss_leaves_a_voice_whole() {
    let frames = encode(&voiced(20));
    let (_, clean) = call(&frames, |_| Some(0));
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let (receiver, heard) =
        call(&frames, |frame| (frame.sequence == 0 || random.random_bool(0.95)).then_some(0));
    let report = receiver.report().jitter;
    assert!(report.lost > 20, "{report:?}");
    // Opus protects about six in ten of these frames.
    assert!(report.recovered * 10 > report.lost * 5, "{report:?}");
    assert_eq!(report.concealed.late + report.concealed.sender_stalled, Duration::ZERO, "{report:?}");
    assert!(steepest(&heard) < steepest(&clean) * 1.5, "{} {}", steepest(&heard), steepest(&clean));
    for second in 1..19 {
        let range = second * 48_000..(second + 1) * 48_000;
        let ratio = energy(&heard[range.clone()]) / energy(&clean[range]);
        assert!((0.7..1.4).contains(&ratio), "second {second}: {ratio}");
    }
    // No hole anywhere: every 20 ms of it sounds.
    assert!(heard[48_000..].chunks_exact(960).all(|sound| energy(sound) > 1.0e-5));
}

#[test]
fn jitter_stretches_speech_without_clicks() {
    let frames = encode(&voiced(20));
    let (_, clean) = call(&frames, |_| Some(0));
    let mut random = ChaCha8Rng::seed_from_u64(6);
    let (receiver, heard) = call(&frames, |frame| {
        let jitter = if (250..500).contains(&frame.sequence) { 50_000 } else { 1_000 };
        Some(random.random_range(0..jitter))
    });
    let report = receiver.report().jitter;
    assert!(report.accelerated + report.expanded > Duration::from_millis(20), "{report:?}");
    assert!(report.depth_ms < 25.0, "{report:?}");
    assert!(report.concealed.total() < Duration::from_millis(150), "{report:?}");
    assert!(steepest(&heard) < steepest(&clean) * 1.5, "{} {}", steepest(&heard), steepest(&clean));
}

#[test]
fn an_outage_fades_to_quiet_and_comes_back_without_a_click() {
    let frames = encode(&voiced(10));
    let (_, clean) = call(&frames, |_| Some(0));
    let (receiver, heard) = call(&frames, |frame| (!(150..300).contains(&frame.sequence)).then_some(0));
    let report = receiver.report().jitter;
    assert!(report.concealed.total() <= Duration::from_millis(420), "{report:?}");
    assert!(energy(&heard[3 * 48_000 + 12_000..5 * 48_000]) < 1.0e-5);
    assert!(energy(&heard[7 * 48_000..8 * 48_000]) > energy(&clean[7 * 48_000..8 * 48_000]) * 0.5);
    assert!(steepest(&heard) < steepest(&clean) * 1.5);
}

#[test]
fn corrupt_frames_are_concealed_and_counted() {
    let mut frames = encode(&voiced(4));
    let mut random = ChaCha8Rng::seed_from_u64(7);
    for frame in frames.iter_mut().skip(50).step_by(10) {
        let len = random.random_range(1..400);
        let mut bytes = [0_u8; 400];
        random.fill(&mut bytes[..]);
        frame.payload = FrameBytes::new(&bytes[..len]).expect(WORKS);
    }
    let (receiver, heard) = call(&frames, |_| Some(0));
    assert!(receiver.report().corrupt > 5);
    assert!(heard.iter().all(|sample| sample.is_finite() && sample.abs() < 4.0));
}

#[test]
fn the_end_of_a_talkspurt_is_silence_and_not_concealment() {
    let mut frames = encode(&voiced(2));
    frames.truncate(60);
    frames.last_mut().expect(WORKS).talkspurt_end = true;
    let mut receiver = Receiver::new().expect(WORKS);
    let mut heard = Vec::new();
    for pull in 0..200_u64 {
        if let Some(frame) = frames.get(pull as usize / 2).filter(|_| pull % 2 == 0) {
            assert_eq!(receiver.insert(Duration::from_millis(pull * 10), frame), Inserted::Queued);
        }
        let mut out = [0.0; 480];
        receiver.pull(Duration::from_millis(pull * 10), &mut out);
        heard.extend_from_slice(&out);
    }
    let report = receiver.report().jitter;
    assert_eq!(report.concealed.total(), Duration::ZERO, "{report:?}");
    assert!(!receiver.talking());
    assert!(energy(&heard[70_000..]) < 2.0e-6);
    assert!(steepest(&heard[48_000..]) < 0.15, "{}", steepest(&heard[48_000..]));
}

#[test]
fn blocks_of_any_length_are_served() {
    let frames = encode(&voiced(2));
    let mut receiver = Receiver::new().expect(WORKS);
    let mut samples = 0;
    let mut frames = frames.iter().peekable();
    for length in [1, 64, 441, 480, 959, 960, 3_000, 0].into_iter().cycle().take(80) {
        let now = Duration::from_micros(samples as u64 * 1_000_000 / 48_000);
        while let Some(frame) = frames.next_if(|frame| frame.sequence * 960 <= samples as u64) {
            receiver.insert(now, frame);
        }
        let mut out = vec![f32::NAN; length];
        receiver.pull(now, &mut out);
        assert!(out.iter().all(|sample| sample.is_finite()));
        samples += length;
    }
    assert!(receiver.report().jitter.decoded > 50);
}
