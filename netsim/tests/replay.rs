//! Calls through the real engine, logged as a live one is, and replayed.

use netsim::replay::{PeerReplay, Replayed, WhatIf, Why, read, replay};
use protocol::media::{Arrival, Frame};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use roundtable::voice::engine::{Microphone, PeerPort, Speaker, engine};
use roundtable::voice::rtlog::by_hand;
use std::time::Duration;

/// A buzz with pauses: talkspurts begin and end.
struct Voice {
    position: usize,
    waiting: usize,
}

impl Microphone for Voice {
    fn available(&mut self) -> usize {
        self.waiting
    }

    fn read(&mut self, out: &mut [f32]) -> bool {
        for sample in out.iter_mut() {
            let t = self.position as f32 / 48_000.0;
            let harmonics = (1..12).map(|h| (t * 140.0 * h as f32 * std::f32::consts::TAU).sin() / h as f32);
            *sample = if (t / 4.0).fract() < 0.8 { 0.2 * harmonics.sum::<f32>() } else { 0.0 };
            self.position += 1;
        }
        self.waiting -= out.len();
        true
    }
}

struct Ear(usize);

impl Speaker for Ear {
    fn wanted(&mut self) -> usize {
        self.0
    }

    fn write(&mut self, samples: &[f32]) {
        self.0 -= samples.len();
    }
}

/// What the network does to a frame, or its sender did: `None` loses it, else microseconds until it is there.
type Path<'a> = &'a mut dyn FnMut(&mut Frame) -> Option<u64>;

/// A call to be logged.
struct Rig<'a> {
    seconds: u64,
    frame_ticks: u8,
    expected_loss: u8,
    /// At this block the first peer goes, and another takes its seat.
    change: Option<u64>,
    /// Microseconds by which the device asks late for a block of 10 ms.
    device: &'a mut dyn FnMut(u64) -> u64,
}

/// A call with one peer per path, whose voice is our own; logged.
fn logged(rig: Rig<'_>, paths: &mut [Path<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (sink, mut drain) = by_hand(&mut bytes);
    let (mut engine, mut control) = engine(rig.frame_ticks, None).expect("Opus starts");
    engine.log_to(sink);
    control.set_expected_loss(rig.expected_loss);
    let mut ports: Vec<PeerPort> = paths.iter().map(|_| control.add_peer("x").expect("a decoder")).collect();
    let (mut voice, mut ear) = (Voice { position: 0, waiting: 0 }, Ear(0));
    let mut on_their_way: Vec<(u64, usize, Frame)> = Vec::new();
    for block in 0..rig.seconds * 100 {
        let now = block * 10_000 + (rig.device)(block);
        if rig.change == Some(block) {
            control.remove_peer(ports[0].key);
            ports[0] = control.add_peer("y").expect("a decoder");
        }
        voice.waiting += 480;
        ear.0 += 480;
        on_their_way.sort_by_key(|(at, ..)| *at);
        on_their_way.retain(|(at, peer, frame)| {
            let due = *at <= now;
            if due {
                let arrival = Arrival { at: Duration::from_micros(*at), frame: *frame };
                ports[*peer].arrivals.push(arrival).expect("the engine takes what comes");
            }
            !due
        });
        let mut sent = Vec::new();
        engine.tick(Duration::from_micros(now), &mut voice, &mut ear, |frame| sent.push(frame));
        for frame in sent {
            for (peer, path) in paths.iter_mut().enumerate() {
                let mut frame = frame;
                let delay = path(&mut frame);
                on_their_way.extend(delay.map(|delay| (block * 10_000 + 20_123 + delay, peer, frame)));
            }
        }
        drain.drain(&mut bytes);
    }
    drop(engine);
    drain.drain(&mut bytes);
    bytes
}

/// One peer, frames of 10 ms, a device that is always on time.
fn simple(seconds: u64, path: Path<'_>) -> Vec<u8> {
    logged(Rig { seconds, frame_ticks: 4, expected_loss: 0, change: None, device: &mut |_| 0 }, &mut [path])
}

fn replayed(bytes: &[u8], what_if: &str) -> Replayed {
    replay(&read(bytes).expect("it was just written"), &what_if.parse().expect("a what-if"))
}

fn only(mut replayed: Replayed) -> PeerReplay {
    assert_eq!(replayed.peers.len(), 1);
    replayed.peers.remove(0)
}

/// Jitter of up to 60 ms now and then, five percent of loss.
fn rough(seed: u64) -> impl FnMut(&mut Frame) -> Option<u64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    move |_| {
        let most = if random.random_bool(0.1) { 60_000 } else { 5_000 };
        let delay = random.random_range(0..most);
        random.random_bool(0.95).then_some(delay)
    }
}

#[test]
fn a_replay_makes_every_decision_of_the_call() {
    for (seed, frame_ticks, expected_loss) in [(1, 4, 0), (2, 8, 10), (3, 4, 10), (4, 8, 0)] {
        let mut late = ChaCha8Rng::seed_from_u64(seed + 100);
        let mut device = |_| late.random_range(0..3_000);
        let rig = Rig { seconds: 30, frame_ticks, expected_loss, change: None, device: &mut device };
        let bytes = logged(rig, &mut [&mut rough(seed), &mut rough(seed + 50)]);
        let log = read(&bytes).unwrap();
        let replayed = replay(&log, &WhatIf::default());
        assert_eq!((replayed.missing_records, replayed.cut_at, replayed.peers.len()), (0, None, 2));
        for (peer, logged) in replayed.peers.iter().zip(&log.peers) {
            assert_eq!(Some(peer.report), logged.live, "seed {seed}, peer {}", peer.number);
            assert_eq!(peer.same_as_live, Some(true));
            let report = &peer.report;
            // A call in which nothing happened would prove nothing.
            assert!(report.lost > 20 && report.late > 0, "{report:?}");
            assert!(report.accelerated + report.expanded > Duration::from_millis(30), "{report:?}");
        }
    }
}

/// A sender that falls silent without saying so ends in a fade, which takes the time that it takes.
#[test]
fn a_replay_knows_how_long_voices_took_to_fade_out() {
    let (mut rough, mut sent) = (rough(41), 0);
    let mut path = |frame: &mut Frame| {
        if frame.sequence % 50 > 40 {
            return None;
        }
        sent += 1;
        frame.sequence = sent;
        rough(frame)
    };
    let log = read(&simple(240, &mut path)).unwrap();
    assert!(
        log.peers[0].notes.iter().filter(|note| note.yielded.is_some()).count() > 5,
        "{:?}",
        log.peers[0].notes
    );
    assert_eq!(only(replay(&log, &WhatIf::default())).same_as_live, Some(true));
}

#[test]
fn peers_that_come_and_go_are_told_apart() {
    let rig = Rig { seconds: 20, frame_ticks: 4, expected_loss: 0, change: Some(1_100), device: &mut |_| 0 };
    let replayed = replayed(&logged(rig, &mut [&mut rough(31), &mut rough(32)]), "");
    let same = |peer: &PeerReplay| (peer.number, peer.same_as_live);
    let same: Vec<_> = replayed.peers.iter().map(same).collect();
    assert_eq!(same, [(1, Some(true)), (2, Some(true)), (3, Some(true))]);
    let times: Vec<_> = replayed.peers.iter().map(|peer| (peer.from_s, peer.to_s)).collect();
    assert_eq!(times, [(0.0, 11.0), (0.0, 19.99), (11.0, 19.99)]);
    assert!(replayed.peers.iter().all(|peer| peer.summary.arrived > 500));
}

#[test]
fn a_replay_without_the_logged_stretches_differs() {
    let bytes = simple(30, &mut rough(1));
    let mut log = read(&bytes).unwrap();
    log.peers[0].notes.retain(|note| note.stretched == 0);
    assert_eq!(only(replay(&log, &WhatIf::default())).same_as_live, Some(false));
}

#[test]
fn a_frame_and_the_pulls_for_it_take_at_most_ten_bytes() {
    let bytes = simple(60, &mut rough(5));
    let came = only(replayed(&bytes, "")).summary.arrived;
    println!("{} bytes a minute, {:.1} a frame of 10 ms", bytes.len(), bytes.len() as f64 / came as f64);
    assert!(bytes.len() as u64 <= 10 * came, "{} bytes for {came} frames", bytes.len());
}

#[test]
fn lost_packets_are_named() {
    let peer =
        only(replayed(&simple(10, &mut |frame| (!(617..619).contains(&frame.sequence)).then_some(0)), ""));
    let heard: Vec<_> = peer.glitches.iter().filter(|glitch| glitch.why.is_heard()).collect();
    let [glitch] = heard[..] else { panic!("{peer}") };
    assert_eq!((glitch.why, glitch.packets), (Why::Lost, Some((617, 618))), "{glitch}");
    assert!(glitch.to_string().contains("packets 617-618 were lost"), "{glitch}");
    assert_eq!(glitch.duration_ms, 20.0);
    assert_eq!(peer.summary.lost, 2);
    assert_eq!(peer.summary.concealed_ms.total, 20.0);
}

#[test]
fn a_late_packet_is_named_with_the_depth_that_would_have_saved_it() {
    let bytes = simple(10, &mut |frame| Some(if frame.sequence == 500 { 50_000 } else { 0 }));
    let peer = only(replayed(&bytes, ""));
    let glitch = peer.glitches.iter().find(|glitch| glitch.why == Why::Late);
    let glitch = glitch.unwrap_or_else(|| panic!("{peer}"));
    assert!(glitch.evidence.contains("packet 500 came"), "{glitch}");
    let more_ms = glitch.more_depth_ms.expect("depth helps against lateness");
    assert!((20.0..=50.0).contains(&more_ms), "{glitch}");
    // And so it is: a buffer that much deeper plays it, and one half as much does not.
    let depth = f64::from(glitch.depth_ms);
    let with = |ms: f64| only(replayed(&bytes, &format!("target={ms:.1}ms"))).summary.late;
    assert_eq!((with(depth + more_ms / 2.0), with(depth + more_ms + 5.0)), (1, 0), "{glitch}");
}

#[test]
fn a_packet_overtaken_by_many_is_late_and_not_a_standstill() {
    let bytes = simple(10, &mut |frame| Some(if frame.sequence == 500 { 200_000 } else { 0 }));
    let peer = only(replayed(&bytes, ""));
    let late: Vec<_> = peer.glitches.iter().filter(|glitch| glitch.why.is_heard()).collect();
    let [glitch] = late[..] else { panic!("{peer}") };
    assert_eq!((glitch.why, glitch.packets), (Why::Late, Some((500, 500))), "{glitch}");
}

#[test]
fn a_standstill_of_the_path_is_told_with_its_length_and_the_burst_after_it() {
    // What is sent during 150 ms is held back and comes at once.
    let bytes = simple(10, &mut |frame| {
        Some(if (300..315).contains(&frame.sequence) { (315 - frame.sequence) * 10_000 } else { 0 })
    });
    let peer = only(replayed(&bytes, ""));
    let glitch = peer.glitches.iter().find(|glitch| glitch.why == Why::Stall);
    let glitch = glitch.unwrap_or_else(|| panic!("{peer}"));
    assert!(glitch.evidence.contains("nothing came for 160 ms"), "{glitch}");
    assert!(glitch.evidence.contains("17 packets came at once"), "{glitch}");
    assert!((100.0..=160.0).contains(&glitch.duration_ms), "{glitch}");
}

#[test]
fn our_own_device_is_blamed_when_it_asks_early() {
    let mut device = |block: u64| if block >= 250 { 0 } else { 30_000 };
    let rig = Rig { seconds: 10, frame_ticks: 4, expected_loss: 0, change: None, device: &mut device };
    let peer = only(replayed(&logged(rig, &mut [&mut |_| Some(0)]), ""));
    let blamed = peer.glitches.iter().find(|glitch| glitch.why == Why::OwnDevice);
    let glitch = blamed.unwrap_or_else(|| panic!("{peer}"));
    assert!(glitch.evidence.contains("our own device asked 30 ms earlier"), "{glitch}");
}

#[test]
fn a_call_with_modelled_stretches_is_close_to_the_live_one() {
    for seed in 1..5 {
        let bytes = simple(120, &mut rough(seed));
        let with = |what_if: &str| only(replayed(&bytes, what_if)).summary;
        let (live, modelled) = (with(""), with("target+0ms"));
        let ratio = modelled.concealed_ms.total / live.concealed_ms.total;
        assert!((0.95..1.05).contains(&ratio), "{seed}: {live:?} {modelled:?}");
        let deeper = modelled.depth_ms.median - live.depth_ms.median;
        assert!(deeper.abs() < 1.0, "{seed}: {live:?} {modelled:?}");
    }
}

#[test]
fn what_ifs_have_the_effect_they_say() {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let mut path =
        |_: &mut Frame| Some(if random.random_bool(0.004) { random.random_range(20_000..40_000) } else { 0 });
    let bytes = simple(60, &mut path);
    let with = |what_if: &str| only(replayed(&bytes, what_if)).summary;
    let (plain, deeper) = (with(""), with("target+40ms"));
    assert!(plain.late > 10, "{plain:?}");
    assert!(deeper.concealed_ms.late < plain.concealed_ms.late / 2.0, "{plain:?} {deeper:?}");
    let constant = with("target=60ms");
    assert_eq!((constant.target_ms.median, constant.target_ms.p95), (60.0, 60.0));
    assert!((50.0..75.0).contains(&constant.depth_ms.median), "{constant:?}");
    assert_eq!(constant.late, 0, "{constant:?}");
    let smooth = with("no-jitter");
    assert_eq!((smooth.late, smooth.concealed_ms.total), (0, 0.0), "{smooth:?}");
    assert!(with("jitter*2").target_ms.p95 > plain.target_ms.p95 * 1.4);
    let lossy = with("loss+10%");
    let share = (plain.arrived - lossy.arrived) as f64 / plain.arrived as f64;
    assert!((0.085..0.115).contains(&share), "{share}");
    assert!(lossy.concealed_ms.lost_on_path > plain.concealed_ms.lost_on_path + 1_000.0, "{lossy:?}");
    assert_eq!(with("loss+10%"), lossy, "the same seed loses the same packets");
    assert_ne!(with("loss+10%, seed=2"), lossy);
}

#[test]
fn error_correction_can_be_thought_away() {
    let rig = Rig { seconds: 30, frame_ticks: 8, expected_loss: 10, change: None, device: &mut |_| 0 };
    let bytes = logged(rig, &mut [&mut rough(21)]);
    let was = only(replayed(&bytes, ""));
    assert_eq!(was.same_as_live, Some(true));
    assert!(was.summary.recovered > 10, "{was}");
    assert_eq!(only(replayed(&bytes, "no-fec")).summary.recovered, 0);
}

#[test]
fn the_series_cover_the_call_and_the_glitches_explain_all_that_was_made_up() {
    let peer = only(replayed(&simple(20, &mut rough(9)), ""));
    let series = &peer.series;
    assert!(series.buffer.len() > 600, "{}", series.buffer.len());
    assert!(series.buffer.is_sorted_by(|one, other| one.t_s < other.t_s));
    assert_eq!(series.arrivals.len() as u64, peer.summary.arrived);
    let worst = series.arrivals.iter().filter_map(|point| point.above_ms).fold(0.0, f32::max);
    assert!((40.0..=61.0).contains(&worst), "{worst}");
    let made_up: f64 = series.concealed.iter().map(|point| point.ms).sum();
    assert!(made_up > 100.0 && (made_up - peer.summary.concealed_ms.total).abs() < 1e-6, "{made_up}");
    let explained = peer.glitches.iter().filter(|glitch| glitch.why.is_heard() && glitch.why != Why::Skipped);
    let explained: f64 = explained.map(|glitch| glitch.duration_ms).sum();
    assert!((explained - made_up).abs() < 1e-6, "{explained} of {made_up}");
}

#[test]
fn a_log_cut_anywhere_replays_up_to_the_cut() {
    let bytes = simple(5, &mut rough(7));
    let whole = read(&bytes).unwrap();
    let mut cuts = 0;
    for cut in (0..bytes.len()).step_by(37) {
        match read(&bytes[..cut]) {
            Ok(log) => {
                cuts += usize::from(log.cut_at.is_some());
                assert!(whole.pulls.starts_with(&log.pulls) && log.missing == 0);
                let replayed = replay(&log, &WhatIf::default());
                assert!(replayed.peers.iter().all(|peer| peer.same_as_live.is_none()));
            }
            Err(error) => assert!(cut < 20, "{cut}: {error}"),
        }
    }
    assert!(cuts > 20, "{cuts}");
}
