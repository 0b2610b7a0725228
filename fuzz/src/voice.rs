//! Media datagrams: from a peer that was let in, and may be broken or hostile all the same.

use protocol::jitter::{Decision, JitterBuffer, JitterConfig};
use protocol::limits::{JITTER_FRAMES_MAX, MEDIA_PACKET_BYTES_MAX};
use protocol::media::packet::VoicePacket;
use protocol::media::{Depacketizer, ReceptionReport};
use std::time::Duration;

/// A packet that can be read is written again in the same bytes.
pub fn voice_packet(data: &[u8]) {
    let Ok(packet) = VoicePacket::decode(data) else { return };
    let mut written = Vec::new();
    packet.encode(&mut written);
    assert_eq!(written, data);
}

/// A report that can be read has the same fields when it is written again. (Of the first byte only the kind
/// counts, and it may be longer.)
pub fn reception_report(data: &[u8]) {
    let Ok(report) = ReceptionReport::decode(data) else { return };
    let written = report.encode();
    assert_eq!(written[1..], data[1..written.len()]);
}

/// Packets at any time and in any order, and a device that asks whenever it likes.
///
/// The input is a list of operations: one byte that says which, one of time that has passed in units of
/// 2.5 ms, then for a packet one of length and its bytes.
pub fn voice_stream(data: &[u8]) {
    let mut depacketizer = Depacketizer::default();
    let mut buffer = JitterBuffer::new(JitterConfig::default());
    let mut now = Duration::ZERO;
    let mut rest = data;
    while let [operation, waited, after @ ..] = rest {
        rest = after;
        now += Duration::from_micros(2500) * u32::from(*waited);
        match operation % 8 {
            0..=3 => rest = deliver(rest, &mut depacketizer, &mut buffer, now),
            4 => buffer.on_pull(now, usize::from(*operation) * 16),
            5 => buffer.on_path_switch(now),
            6 => buffer.on_stretched(now, i32::from(*operation as i8) * 8),
            _ => play(&mut buffer, now, usize::from(*operation >> 3) * 60),
        }
        assert!(buffer.report().waiting <= JITTER_FRAMES_MAX);
    }
}

/// Delivers one packet; returns the operations after it.
fn deliver<'a>(
    data: &'a [u8],
    depacketizer: &mut Depacketizer,
    buffer: &mut JitterBuffer,
    now: Duration,
) -> &'a [u8] {
    let Some((&length, after)) = data.split_first() else { return &[] };
    let (packet, after) = after.split_at(usize::from(length).min(after.len()).min(MEDIA_PACKET_BYTES_MAX));
    if let Ok(frames) = depacketizer.read(packet) {
        for frame in frames.iter() {
            buffer.insert(now, frame);
        }
    }
    after
}

/// Asks for one operation, and holds it to what a decoder relies on.
fn play(buffer: &mut JitterBuffer, now: Duration, queued_samples: usize) {
    match buffer.next(now, queued_samples) {
        Decision::Decode { frame, .. } => {
            assert!(!frame.payload.as_slice().is_empty());
            assert!(frame.ticks > 0);
        }
        Decision::DecodeFec { frame, ticks } => assert!(ticks > 0 && !frame.payload.as_slice().is_empty()),
        Decision::Conceal { ticks, .. } | Decision::Silence { ticks } => assert!(ticks > 0),
        Decision::Idle => {}
    }
}
