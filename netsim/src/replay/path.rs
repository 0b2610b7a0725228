//! How long packets took beyond the fastest, with the whole call known; and what a what-if makes of them.
//!
//! A frame's raw delay is its arrival less the media time of its end, two clocks without a common zero. The least raw
//! delay of the six seconds before and after is the fastest path; what is above it is jitter. The live buffer
//! knows only the past, so just after a change of route it may see more than this.

use super::log::{Input, LoggedPeer, PullRun, What};
use super::what_if::WhatIf;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use roundtable::voice::rtlog::Arrived;
use std::collections::VecDeque;

/// Half the window of the fastest path: the buffer's own is 12 s.
const REACH_US: i64 = 6_000_000;
/// A raw delay that jumps by more belongs to a new stream.
const RESTART_US: i64 = 1_000_000;
/// Later times are no times; far below the range of the sums here.
const AT_US_MAX: u64 = 1 << 60;
/// As the buffer refuses them.
const TIME_MAX: u64 = 1 << 50;
const TICK_US: i64 = 2_500;

/// The delay above the fastest path of each input, in microseconds; `None` for what has none.
///
/// A copy has that of the packet which carried it.
pub(super) fn above_us(inputs: &[Input]) -> Vec<Option<i64>> {
    let primaries: Vec<(usize, i64, i64)> = inputs
        .iter()
        .enumerate()
        .filter_map(|(index, input)| match input.what {
            What::Frame(frame) if !frame.copy => Some((index, at_us(input), raw_us(input, &frame)?)),
            What::Frame(_) | What::PathSwitch => None,
        })
        .collect();
    let mut above = vec![None; inputs.len()];
    let streams = primaries.chunk_by(|(.., before), (.., after)| (after - before).abs() <= RESTART_US * 5);
    for stream in streams {
        let mut least: VecDeque<(i64, i64)> = VecDeque::new();
        let mut ahead = stream.iter().peekable();
        for &(index, at, raw) in stream {
            while let Some(&(_, later, raw)) = ahead.next_if(|(_, later, _)| *later <= at + REACH_US) {
                while least.back().is_some_and(|(_, other)| *other >= raw) {
                    least.pop_back();
                }
                least.push_back((later, raw));
            }
            while least.len() > 1 && least.front().is_some_and(|(earlier, _)| *earlier < at - REACH_US) {
                least.pop_front();
            }
            let fastest = least.front().map_or(raw, |(_, fastest)| *fastest);
            above[index] = Some((raw - fastest).max(0));
        }
    }
    for packet in packets(inputs) {
        let whole = inputs[packet.clone()].iter().zip(&above[packet.clone()]);
        let of_packet = whole.filter_map(|(_, above)| *above).next();
        for (input, above) in inputs[packet.clone()].iter().zip(&mut above[packet]) {
            if matches!(input.what, What::Frame(_)) {
                *above = above.or(of_packet);
            }
        }
    }
    above
}

/// What the buffer would have been given. In the order in which it is given; some may come after all pulls.
pub(super) fn changed(peer: &LoggedPeer, pulls: &[PullRun], what_if: &WhatIf) -> Vec<Input> {
    let above = above_us(&peer.inputs);
    let mut random = ChaCha8Rng::seed_from_u64(what_if.seed);
    random.set_stream(peer.number as u64);
    let mut inputs = Vec::with_capacity(peer.inputs.len());
    for packet in packets(&peer.inputs) {
        let lost = what_if.loss > 0.0 && random.random_bool(what_if.loss.min(1.0));
        let is_packet = matches!(peer.inputs[packet.start].what, What::Frame(_));
        if lost && is_packet {
            continue;
        }
        for index in packet {
            let mut input = peer.inputs[index];
            if let What::Frame(frame) = &mut input.what {
                frame.fec &= what_if.fec;
            }
            if let Some(above) = above[index]
                && what_if.jitter != 1.0
            {
                let moved = (above as f64 * (what_if.jitter - 1.0)).round() as i64;
                input.at_us = input.at_us.saturating_add_signed(moved);
                let within = &pulls[peer.pulls.clone()];
                input.before = peer.pulls.start + within.partition_point(|pull| pull.at_us < input.at_us);
            }
            inputs.push(input);
        }
    }
    if what_if.jitter != 1.0 {
        // Stable: the frames of a packet stay in order.
        inputs.sort_by_key(|input| (input.before, input.at_us));
    }
    inputs
}

/// Inputs that came in one packet: read at the same moment, with one primary frame at most.
fn packets(inputs: &[Input]) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut begin = 0;
    std::iter::from_fn(move || {
        let first = inputs.get(begin)?;
        let mut primaries = usize::from(is_primary(first));
        let mut end = begin + 1;
        while let Some(next) = inputs.get(end)
            && matches!((first.what, next.what), (What::Frame(_), What::Frame(_)))
            && next.at_us == first.at_us
            && primaries + usize::from(is_primary(next)) <= 1
        {
            primaries += usize::from(is_primary(next));
            end += 1;
        }
        let packet = begin..end;
        begin = end;
        Some(packet)
    })
}

fn is_primary(input: &Input) -> bool {
    matches!(input.what, What::Frame(frame) if !frame.copy)
}

fn at_us(input: &Input) -> i64 {
    input.at_us.min(AT_US_MAX) as i64
}

fn raw_us(input: &Input, frame: &Arrived) -> Option<i64> {
    let end = frame.time.checked_add(u64::from(frame.ticks)).filter(|end| *end < TIME_MAX)?;
    Some(at_us(input) - end as i64 * TICK_US)
}
