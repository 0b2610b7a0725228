//! One peer's replay.

use super::device::Device;
use super::glitch::{Arrivals, Glitch, of_made_up, of_skipped, of_stretched, shown};
use super::log::{Input, Log, LoggedPeer, What};
use super::outcome::{ArrivalPoint, BufferPoint, ConcealedPoint, PeerReplay, Series, summarise};
use super::path::{above_us, changed};
use super::player::{CountingPlayer, Happened, Stretching, usual_period};
use super::watch::Watch;
use super::what_if::WhatIf;
use protocol::jitter::{JitterBuffer, serve};
use std::borrow::Cow;
use std::time::Duration;

/// Between two looks at the buffer's state.
const LOOK_US: u64 = 20_000;

pub(super) fn run(log: &Log, peer: &LoggedPeer, what_if: &WhatIf) -> PeerReplay {
    let as_it_was = what_if.is_nothing();
    let inputs: Cow<'_, [Input]> =
        if as_it_was { Cow::Borrowed(&peer.inputs) } else { Cow::Owned(changed(peer, &log.pulls, what_if)) };
    let stretching = if as_it_was {
        Stretching::Logged
    } else {
        Stretching::Modelled { period: usual_period(&peer.notes) }
    };
    let mut replay = Replay {
        buffer: JitterBuffer::new(what_if.config(log.config)),
        player: CountingPlayer::new(stretching),
        device: Device::default(),
        watch: Watch::default(),
        series: Series::default(),
        inputs: &inputs,
        fed: 0,
        looked_us: None,
    };
    replay.play(log, peer);
    let Replay { buffer, mut watch, mut series, .. } = replay;
    watch.finish();
    let above = above_us(&inputs);
    series.arrivals = arrival_points(&inputs, &above);
    let glitches = glitches(&watch, &inputs, &above);
    let seconds = span(peer, &inputs, log);
    let report = buffer.report();
    let summary = summarise(&report, &glitches, &series, seconds);
    let same_as_live = as_it_was.then(|| peer.live.map(|live| live == report)).flatten();
    PeerReplay {
        number: peer.number,
        from_s: seconds.0,
        to_s: seconds.1,
        same_as_live,
        summary,
        glitches,
        series,
        report,
    }
}

struct Replay<'a> {
    buffer: JitterBuffer,
    player: CountingPlayer<'a>,
    device: Device,
    watch: Watch,
    series: Series,
    inputs: &'a [Input],
    /// Of the inputs.
    fed: usize,
    looked_us: Option<u64>,
}

impl<'a> Replay<'a> {
    fn play(&mut self, log: &Log, peer: &'a LoggedPeer) {
        let mut notes = &peer.notes[..];
        for index in peer.pulls.clone() {
            let pulls = &log.pulls[index];
            self.feed(index);
            let of_this = notes.partition_point(|note| note.pull <= index);
            let (mine, rest) = notes.split_at(of_this);
            notes = rest;
            for left in (0..pulls.count).rev() {
                // Notes are about the last of a run: where there are some, the run ends.
                self.pull(pulls.at_us, usize::from(pulls.samples), if left == 0 { mine } else { &[] });
            }
            if self.looked_us.is_none_or(|looked| pulls.at_us.saturating_sub(looked) >= LOOK_US) {
                self.look(pulls.at_us);
            }
        }
        self.feed(usize::MAX);
        self.look(log.pulls[peer.pulls.clone()].last().map_or(peer.added_us, |pulls| pulls.at_us));
    }

    /// Puts in what came before this run of pulls.
    fn feed(&mut self, index: usize) {
        while let Some(input) = self.inputs.get(self.fed).filter(|input| input.before <= index) {
            let at = Duration::from_micros(input.at_us);
            match input.what {
                What::Frame(frame) => {
                    self.buffer.insert(at, &frame.frame());
                }
                What::PathSwitch => self.buffer.on_path_switch(at),
            }
            self.fed += 1;
        }
    }

    fn pull(&mut self, at_us: u64, samples: usize, notes: &'a [super::log::Note]) {
        let at = at_us.min(i64::MAX as u64) as i64;
        self.device.on_pull(at, samples as u64);
        self.player.begin(notes);
        serve(&mut self.buffer, Duration::from_micros(at_us), samples, &mut self.player);
        self.player.pop(samples);
        self.watch.on_pull(at, &self.player.happened, &self.buffer, &self.device);
        let made_up = self.player.happened.iter().filter_map(|event| match event {
            Happened::MadeUp(samples, _) => Some(*samples),
            Happened::Played(_) | Happened::Rebuilt(_) | Happened::Silent | Happened::Stretched(_) => None,
        });
        let ms = made_up.sum::<usize>() as f64 / 48.0;
        if ms > 0.0 {
            let t_s = at_us as f64 / 1e6;
            match self.series.concealed.last_mut().filter(|point| point.t_s == t_s) {
                Some(point) => point.ms += ms,
                None => self.series.concealed.push(ConcealedPoint { t_s, ms }),
            }
        }
    }

    fn look(&mut self, at_us: u64) {
        self.looked_us = Some(at_us);
        self.watch.look(at_us.min(i64::MAX as u64) as i64, &self.buffer);
        if self.buffer.in_talkspurt() {
            let report = self.buffer.report();
            self.series.buffer.push(BufferPoint {
                t_s: at_us as f64 / 1e6,
                target_ms: report.target_ms,
                depth_ms: report.depth_ms,
            });
        }
    }
}

fn arrival_points(inputs: &[Input], above: &[Option<i64>]) -> Vec<ArrivalPoint> {
    let point = |(input, above): (&Input, &Option<i64>)| match input.what {
        What::Frame(frame) if !frame.copy => Some(ArrivalPoint {
            t_s: input.at_us as f64 / 1e6,
            sequence: shown(frame.sequence),
            above_ms: above.map(|us| us as f32 / 1e3),
        }),
        What::Frame(_) | What::PathSwitch => None,
    };
    inputs.iter().zip(above).filter_map(point).collect()
}

fn glitches(watch: &Watch, inputs: &[Input], above: &[Option<i64>]) -> Vec<Glitch> {
    let arrivals = Arrivals::new(inputs, above);
    let frame_ms = usual_frame_ms(inputs);
    let frame_us = (frame_ms * 1e3) as i64;
    let mut glitches: Vec<Glitch> =
        watch.made_up.iter().map(|run| of_made_up(run, &arrivals, frame_us)).collect();
    glitches.extend(watch.skipped.iter().map(|skipped| of_skipped(skipped, frame_ms)));
    glitches.extend(watch.stretched.iter().map(of_stretched));
    glitches.sort_by(|a, b| a.start_s.total_cmp(&b.start_s));
    glitches
}

/// The duration of most frames, in milliseconds.
fn usual_frame_ms(inputs: &[Input]) -> f64 {
    let mut by_ticks = [0_u32; 256];
    for input in inputs {
        if let What::Frame(frame) = input.what {
            by_ticks[usize::from(frame.ticks)] += 1;
        }
    }
    let usual = (0..256).max_by_key(|ticks| by_ticks[*ticks]).unwrap_or(0);
    usual as f64 * 2.5
}

/// From the peer's coming to its going, or to the end of the log, in seconds.
fn span(peer: &LoggedPeer, inputs: &[Input], log: &Log) -> (f64, f64) {
    let last_pull = log.pulls[peer.pulls.clone()].last().map(|pulls| pulls.at_us);
    let last = inputs.last().map(|input| input.at_us).max(last_pull).unwrap_or(peer.added_us);
    let end = peer.gone_us.unwrap_or(last).max(peer.added_us);
    (peer.added_us as f64 / 1e6, end as f64 / 1e6)
}
