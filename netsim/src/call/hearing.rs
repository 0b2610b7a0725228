//! What one listener heard of one voice: delays, made-up sound, and what an oracle and NetEQ would have done.

use super::stage::Said;
use super::tape::Tape;
use crate::judge::{Judge, MouthToEar, SentFrame};
use crate::outcome::{Budget, Concealed, Direction, NetEqOutcome, Quantiles, Sample};
use protocol::jitter::Report;
use roundtable::voice::engine::PeerVoice;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What Opus looks ahead in its two modes (RFC 6716, section 4.1, and libopus' restricted-lowdelay).
const LOOK_AHEAD: Duration = Duration::from_micros(6_500);
const LOOK_AHEAD_LOW_DELAY: Duration = Duration::from_micros(2_500);

/// Frames that may wait to be played: 10 s of the usual ones.
const ARRIVALS: usize = 1024;

/// The account of one direction.
pub(super) struct Hearing {
    /// The listener is connected to the speaker, has heard of it, and has not lost it.
    pub(super) listening: bool,
    pub(super) connected_at: Option<Duration>,
    pub(super) path: &'static str,
    /// What the engine publishes, for each connection there was.
    pub(super) voices: Vec<Arc<Mutex<PeerVoice>>>,
    /// What it had published at the end.
    frozen: Option<Vec<Report>>,
    mouth_to_ear: MouthToEar,
    buffering: MouthToEar,
    judge: Judge,
    stations: Stations,
    /// When frames arrived, by the end of their numbers.
    arrivals: Vec<(u64, Duration)>,
    speech: Duration,
    heard: Duration,
    /// The last frame that nobody listened to, and the first one after the end.
    uncounted_until: Option<u64>,
    uncounted_from: Option<u64>,
    frames: u64,
    arrived: u64,
    voice_bytes: u64,
    copy_bytes: u64,
    bucket: Bucket,
    series: Vec<Sample>,
    sound: Option<Tape>,
}

/// Sums over all frames heard, in seconds.
#[derive(Default)]
struct Stations {
    capture: f64,
    codec: f64,
    network: f64,
    buffer: f64,
    playout: f64,
    frames: f64,
}

/// What has gathered for the next sample of the series.
#[derive(Default)]
struct Bucket {
    delay_sum: f64,
    delays: u32,
    network: Option<Duration>,
    made_up: usize,
    stretched: i64,
    lost_before: u64,
}

impl Hearing {
    pub(super) fn new(with_sound: bool) -> Self {
        Self {
            listening: false,
            connected_at: None,
            path: "none",
            voices: Vec::new(),
            frozen: None,
            mouth_to_ear: MouthToEar::default(),
            buffering: MouthToEar::default(),
            judge: Judge::new(),
            stations: Stations::default(),
            arrivals: vec![(u64::MAX, Duration::ZERO); ARRIVALS],
            speech: Duration::ZERO,
            heard: Duration::ZERO,
            uncounted_until: None,
            uncounted_from: None,
            frames: 0,
            arrived: 0,
            voice_bytes: 0,
            copy_bytes: 0,
            bucket: Bucket::default(),
            series: Vec::new(),
            sound: with_sound.then(Tape::default),
        }
    }

    /// The speaker gives a frame away. It counts when it was said to be heard: not `after_the_end`, and while the
    /// listener listens.
    pub(super) fn on_said(&mut self, said: &Said, after_the_end: bool) {
        if after_the_end {
            self.uncounted_from.get_or_insert(said.sequence);
            return;
        }
        if !self.listening {
            self.uncounted_until = Some(said.sequence);
            return;
        }
        self.frames += 1;
        if said.speech {
            self.speech += said.ended - said.began;
        }
        let frame = SentFrame {
            sequence: said.sequence,
            ended: said.ended,
            duration: said.ended - said.began,
            speech: said.speech,
            carries_fec_of_previous: said.carries_fec,
        };
        self.judge.on_sent(&frame);
    }

    pub(super) fn on_arrived(&mut self, said: &Said, at: Duration, bytes: usize) {
        self.voice_bytes += bytes as u64;
        // The first frame of all: what is said from now on counts.
        self.listening = true;
        if !self.counts(said) {
            return;
        }
        self.arrived += 1;
        self.judge.on_arrived(said.sequence, at);
        let took = at.saturating_sub(said.encoded);
        self.arrivals[said.sequence as usize % ARRIVALS] = (said.sequence, at);
        self.bucket.network = self.bucket.network.max(Some(took));
    }

    /// A copy of what was here already.
    pub(super) fn on_needless_copy(&mut self, bytes: usize) {
        self.voice_bytes += bytes as u64;
        self.copy_bytes += bytes as u64;
    }

    pub(super) fn on_copy(&mut self, said: &Said, at: Duration, bytes: usize) {
        self.on_needless_copy(bytes);
        self.judge.on_copy(said.sequence, at);
    }

    /// A frame is played: `needed` is when its first sample had to be there, `heard` when it sounds.
    pub(super) fn on_heard(&mut self, said: &Said, needed: Duration, heard: Duration, low_delay: bool) {
        if !self.counts(said) {
            return;
        }
        let look_ahead = if low_delay { LOOK_AHEAD_LOW_DELAY } else { LOOK_AHEAD };
        // What sounds first is what the encoder looked back on.
        let delay = heard.saturating_sub(said.began) + look_ahead;
        self.mouth_to_ear.record(delay);
        self.buffering.record(needed.saturating_sub(said.ended));
        self.on_rebuilt(said);
        let stations = &mut self.stations;
        stations.frames += 1.0;
        stations.capture += said.encoded.saturating_sub(said.began).as_secs_f64();
        stations.codec += look_ahead.as_secs_f64();
        let (sequence, arrived) = self.arrivals[said.sequence as usize % ARRIVALS];
        let arrived = if sequence == said.sequence { arrived } else { said.encoded };
        stations.network += arrived.saturating_sub(said.encoded).as_secs_f64();
        stations.buffer += needed.saturating_sub(arrived).as_secs_f64();
        stations.playout += heard.saturating_sub(needed).as_secs_f64();
        self.bucket.delay_sum += delay.as_secs_f64() * 1e3;
        self.bucket.delays += 1;
    }

    /// What a frame says is heard, from itself or from the correction in the next.
    pub(super) fn on_rebuilt(&mut self, said: &Said) {
        if said.speech && self.counts(said) {
            self.heard += said.ended - said.began;
        }
    }

    fn counts(&self, said: &Said) -> bool {
        self.uncounted_until.is_none_or(|uncounted| said.sequence > uncounted)
            && self.uncounted_from.is_none_or(|uncounted| said.sequence < uncounted)
    }

    pub(super) fn on_made_up(&mut self, samples: usize) {
        self.bucket.made_up += samples;
    }

    pub(super) fn on_stretched(&mut self, by: i32) {
        self.bucket.stretched += i64::from(by);
    }

    /// A block is rendered: the speaker's sample `position` is heard at `at`.
    pub(super) fn on_sound(&mut self, position: u64, at: Duration, block: &[f32]) {
        if let Some(sound) = &mut self.sound {
            sound.write(position, at, block);
        }
    }

    /// The end: what is made up from now on is of what nobody counts.
    pub(super) fn freeze(&mut self) {
        let report = |voice: &Arc<Mutex<PeerVoice>>| {
            voice.lock().expect("the engine does not panic while publishing").report.jitter
        };
        self.frozen = Some(self.voices.iter().map(report).collect());
    }

    /// Each 10 ms.
    pub(super) fn on_tick(&mut self, now: Duration) {
        if self.listening {
            self.judge.tick(now);
        }
    }

    /// Each 100 ms: one more sample of the series.
    pub(super) fn sample(&mut self, now: Duration) {
        let Some(voice) = self.voices.last().filter(|_| self.frozen.is_none()) else { return };
        let jitter = voice.lock().expect("the engine does not panic while publishing").report.jitter;
        let bucket = std::mem::take(&mut self.bucket);
        self.bucket.lost_before = jitter.lost;
        let ms = |samples: f64| (samples / 48.0) as f32;
        self.series.push(Sample {
            t: now.as_secs_f32(),
            mouth_to_ear_ms: (bucket.delays > 0)
                .then(|| (bucket.delay_sum / f64::from(bucket.delays)) as f32),
            network_ms: bucket.network.map(|network| network.as_secs_f32() * 1e3),
            depth_ms: jitter.depth_ms,
            target_ms: jitter.target_ms,
            neteq_target_ms: self.judge.neteq.target_ms() as f32,
            lost: jitter.lost.saturating_sub(bucket.lost_before).min(u64::from(u16::MAX)) as u16,
            concealed_ms: ms(bucket.made_up as f64),
            stretched_ms: ms(bucket.stretched as f64),
        });
    }

    /// What came of it all.
    pub(super) fn finish(
        mut self,
        from: &str,
        to: &str,
        connect_ms: Option<f64>,
        until: Duration,
    ) -> Direction {
        self.judge.finish(until);
        let mut concealed = Concealed::default();
        let (mut expanded, mut accelerated, mut recovered) = (Duration::ZERO, Duration::ZERO, 0);
        if self.frozen.is_none() {
            self.freeze();
        }
        for jitter in self.frozen.iter().flatten() {
            let causes = jitter.concealed;
            concealed.lost += ms(causes.lost_on_path);
            concealed.late += ms(causes.late);
            concealed.stalled += ms(causes.sender_stalled);
            concealed.underrun += ms(causes.own_underrun);
            concealed.path += ms(causes.path_switch);
            expanded += jitter.expanded;
            accelerated += jitter.accelerated;
            recovered += jitter.recovered;
        }
        let speech_ms = ms(self.speech);
        let percent = |part: f64, whole: f64| if whole > 0.0 { 100.0 * part / whole } else { 0.0 };
        let unheard_ms = speech_ms - ms(self.heard.min(self.speech));
        let missing_share = (concealed.total().max(unheard_ms) / speech_ms.max(1.0)).min(1.0);
        // What no buffer could have played is nobody's fault.
        let oracle = &self.judge.oracle;
        let oracle = oracle.least_delay(missing_share.max(oracle.unavoidable_share()));
        let neteq = self.judge.neteq.report();
        let ours: Quantiles = self.buffering.quantiles().into();
        let stations = &self.stations;
        let mean = |sum: f64, count: f64| if count > 0.0 { 1e3 * sum / count } else { 0.0 };
        Direction {
            from: from.into(),
            to: to.into(),
            path: self.path.into(),
            connect_ms,
            mouth_to_ear: self.mouth_to_ear.quantiles().into(),
            budget: Budget {
                capture_ms: mean(stations.capture, stations.frames),
                codec_ms: mean(stations.codec, stations.frames),
                network_ms: mean(stations.network, stations.frames),
                buffer_ms: mean(stations.buffer, stations.frames),
                playout_ms: mean(stations.playout, stations.frames),
            },
            speech_ms,
            concealed_ms: concealed,
            concealed_pct: percent(concealed.total(), speech_ms),
            unheard_pct: percent(unheard_ms, speech_ms),
            expanded_ms: ms(expanded),
            accelerated_ms: ms(accelerated),
            stretched_pct: percent(ms(expanded + accelerated), speech_ms),
            lost_pct: percent(self.frames.saturating_sub(self.arrived) as f64, self.frames as f64),
            redundancy_pct: percent(self.copy_bytes as f64, self.voice_bytes as f64),
            frames: self.frames,
            recovered,
            oracle_ms: oracle.map(ms),
            regret_ms: oracle.map(|oracle| ours.mean - ms(oracle)),
            neteq: NetEqOutcome {
                delay: neteq.delay.into(),
                ours,
                concealed_pct: 100.0 * neteq.concealed_share,
            },
            series: self.series,
            sound: self.sound.map(Tape::into_samples),
        }
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
