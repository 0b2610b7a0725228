//! What decoding costs and concealment is worth, classic (complexity 0) and neural (5): `cargo bench --bench decoder`.
//!
//! First the time per 20 ms, of voice that came and of voice that did not. Then, with `-- --quality`, PESQ-WB of a reader
//! whose 10 ms frames get lost, in both modes of the encoder; it needs what `make test` prepares for the scores.

#[path = "../tests/support/score.rs"]
#[allow(dead_code)]
mod score;

use hound::{WavReader, WavSpec, WavWriter};
use protocol::media::{Frame, TICK_SAMPLES};
use rand::{Rng, SeedableRng, rngs::StdRng};
use roundtable::voice::decoder::Decoder;
use roundtable::voice::encoder::VoiceEncoder;
use std::f64::consts::PI;
use std::hint::black_box;
use std::path::Path;
use std::thread;
use std::time::Instant;

const COMPLEXITIES: [u8; 2] = [0, 5];
const SEEDS: u64 = 8;

/// A way of losing frames: which of so many are gone.
type Loss = fn(&mut StdRng, usize) -> Vec<bool>;

fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let said = said(&score::speech("austen.wav"));
    times(&said);
    if std::env::args().any(|argument| argument == "--quality") {
        qualities(&said);
    }
}

fn times(said: &[f32]) {
    println!("microseconds per 20 ms, median decode   conceal, first 20 ms   second   third");
    for (mode, expected_loss) in [("CELT, 48 kbit/s", 0), ("hybrid, 40 kbit/s", 10)] {
        let frames = encode(said, 8, expected_loss);
        for complexity in COMPLEXITIES {
            let [decode, conceal @ ..] = time(&frames, complexity);
            print!("{mode:<18} at {complexity} {decode:>14.1}");
            println!("{:>14.1} {:>16.1} {:>7.1}", conceal[0], conceal[1], conceal[2]);
        }
    }
}

/// Of decoding, and of the first, second and third 20 ms made up after it.
fn time(frames: &[Option<Frame>], complexity: u8) -> [f64; 4] {
    let mut times = [const { Vec::new() }; 4];
    let mut out = [0.0; 8 * TICK_SAMPLES];
    // Once without a loss, which is what decoding is to cost, and once with gaps.
    for gaps in [false, true] {
        let mut decoder = Decoder::new().expect("a decoder");
        decoder.set_complexity(complexity);
        for (n, frame) in frames.iter().flatten().enumerate() {
            let begin = Instant::now();
            match n % 13 {
                lost @ 10..13 if gaps => {
                    decoder.conceal(black_box(&mut out)).expect("it conceals");
                    times[lost - 9].push(begin.elapsed());
                }
                _ => {
                    decoder.decode(frame.payload.as_slice(), black_box(&mut out)).expect("it decodes");
                    if !gaps {
                        times[0].push(begin.elapsed());
                    }
                }
            }
        }
    }
    times.map(|mut times| {
        times.sort();
        times[times.len() / 2].as_secs_f64() * 1e6
    })
}

fn qualities(said: &[f32]) {
    let losses: [(&str, Loss); 4] = [
        ("none", |_, frames| vec![false; frames]),
        ("10 %", |rng, frames| (0..frames).map(|_| rng.random_bool(0.1)).collect()),
        ("20 %", |rng, frames| (0..frames).map(|_| rng.random_bool(0.2)).collect()),
        ("bursts of 4, 10 %", bursts),
    ];
    println!("\nPESQ-WB, mean of {SEEDS} patterns of loss{:>12}{:>8}", 0, 5);
    for (mode, expected_loss, fec) in
        [("CELT", 0, false), ("hybrid, FEC unused", 10, false), ("hybrid, FEC", 10, true)]
    {
        let frames = encode(said, 4, expected_loss);
        for (name, loss) in losses {
            print!("{mode:<18} {name:<23}");
            for complexity in COMPLEXITIES {
                let seeds = if name == "none" { 1 } else { SEEDS };
                let frames = &frames;
                let one = move |seed| {
                    let lost = loss(&mut StdRng::seed_from_u64(seed), frames.len());
                    pesq(&hear(frames, &lost, complexity, fec))
                };
                // The scoring takes the time, and is a process of its own.
                let sum: f64 = thread::scope(|scope| {
                    let scored: Vec<_> = (0..seeds).map(|seed| scope.spawn(move || one(seed))).collect();
                    scored.into_iter().map(|score| score.join().expect("a score")).sum()
                });
                print!("{:>8.2}", sum / seeds as f64);
            }
            println!();
        }
    }
}

/// Four in a row, one in ten of all.
fn bursts(rng: &mut StdRng, frames: usize) -> Vec<bool> {
    let mut lost = vec![false; frames];
    let mut n = 0;
    while n < frames {
        // A burst begins after 36 frames in the mean.
        if rng.random_bool(1.0 / 37.0) {
            lost.iter_mut().skip(n).take(4).for_each(|lost| *lost = true);
            n += 4;
        } else {
            n += 1;
        }
    }
    lost
}

/// What is heard: silence where nothing was sent, and what was lost rebuilt from the next frame, or made up.
fn hear(frames: &[Option<Frame>], lost: &[bool], complexity: u8, fec: bool) -> Vec<f32> {
    let mut decoder = Decoder::new().expect("a decoder");
    decoder.set_complexity(complexity);
    let mut heard = Vec::new();
    for (n, frame) in frames.iter().enumerate() {
        let mut out = [0.0; 4 * TICK_SAMPLES];
        if let Some(frame) = frame {
            let next = frames.get(n + 1).filter(|_| fec && !lost[n + 1]).and_then(Option::as_ref);
            let made = match (lost[n], next) {
                (false, _) => decoder.decode(frame.payload.as_slice(), &mut out),
                (true, Some(next)) => decoder.decode_before(next.payload.as_slice(), &mut out),
                (true, None) => decoder.conceal(&mut out),
            };
            made.expect("Opus made it");
        }
        heard.extend(out);
    }
    heard
}

/// One for each stretch of so many ticks, none where nothing is said.
fn encode(said: &[f32], ticks: u8, expected_loss: u8) -> Vec<Option<Frame>> {
    let mut encoder = VoiceEncoder::new(ticks).expect("an encoder");
    encoder.set_expected_loss(expected_loss);
    let samples = usize::from(ticks) * TICK_SAMPLES;
    said.chunks_exact(samples)
        .map(|stretch| {
            let pieces = stretch.chunks_exact(TICK_SAMPLES);
            let frame = pieces.filter_map(|tick| encoder.push(tick.try_into().expect("a tick"))).next();
            frame.filter(|frame| !frame.payload.as_slice().is_empty())
        })
        .collect()
}

fn pesq(heard: &[f32]) -> f64 {
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    let path = dir.path().join("heard.wav");
    let spec = WavSpec {
        channels: 1,
        sample_rate: 48_000,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = WavWriter::create(&path, spec).expect("a file in a new folder");
    heard.iter().for_each(|sample| writer.write_sample(*sample).expect("it is written"));
    writer.finalize().expect("it is written");
    score::score(&score::speech("austen.wav"), &path).pesq_wb
}

/// The file at 48 kHz, three times its rate: interpolated by a windowed sinc.
fn said(path: &Path) -> Vec<f32> {
    let mut reader = WavReader::open(path).expect("the speech");
    assert_eq!(reader.spec().sample_rate, 16_000);
    let samples: Vec<f64> =
        reader.samples::<i16>().map(|s| f64::from(s.expect("a sample")) / 32_768.0).collect();
    let weight = |x: f64| {
        let window = 0.5 + 0.5 * (PI * x / 16.0).cos();
        if x == 0.0 { 1.0 } else { window * (PI * x).sin() / (PI * x) }
    };
    (0..3 * samples.len())
        .map(|n| {
            let around = (n / 3).saturating_sub(15)..(n / 3 + 16).min(samples.len());
            around.map(|k| samples[k] * weight(n as f64 / 3.0 - k as f64)).sum::<f64>() as f32
        })
        .collect()
}
