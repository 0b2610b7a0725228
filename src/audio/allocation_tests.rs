//! The callbacks and the engine's ends under a counting allocator, whatever happens to the devices.

#[path = "../../tests/support/counting.rs"]
mod counting;

use counting::count;
use std::sync::Arc;

use super::{
    AudioCounters, CaptureReader, PlaybackWriter,
    line::{Capture, Playback, Side, handover},
};

/// Allocations and frees of this thread during `work`.
fn counted(work: impl FnOnce()) -> u64 {
    let before = count();
    work();
    count() - before
}

#[test]
fn callbacks_and_the_engine_s_ends_never_allocate_or_free() {
    let counters: Arc<AudioCounters> = Arc::default();
    let (mut microphones, receiver) = handover();
    let mut reader = CaptureReader::new(receiver, counters.clone());
    let (mut speakers, receiver) = handover();
    let mut writer = PlaybackWriter::new(receiver, counters.clone());
    let mut block = [0.0_f32; 480];
    let mut allocations = 0;
    // Devices of all kinds come one after the other; what they leave is freed by the supervisor's side.
    for (rate, channels) in [(48_000, 1), (44_100, 2), (8_000, 1), (192_000, 6), (48_000, 2)] {
        let (mut capture, end) = Capture::line(rate, channels, &counters);
        microphones.send(Box::new(end), &counters.capture);
        let (mut playback, end) = Playback::line(rate, channels, &counters);
        speakers.send(Box::new(end), &counters.playback);
        let mut sound = vec![0.25_f32; rate as usize / 100 * channels];
        let mut whole = vec![0_i16; sound.len()];
        for round in 0..200 {
            allocations += counted(|| {
                capture.handle(&sound);
                capture.handle(&whole);
                // The engine is held up now and then: the rings run over, and run dry.
                if round % 50 < 20 {
                    while reader.available() >= block.len() {
                        reader.read(&mut block);
                    }
                    let mut wanted = writer.wanted();
                    while wanted > 0 {
                        writer.write(&block);
                        wanted = wanted.saturating_sub(block.len());
                    }
                }
                playback.handle(&mut sound);
                playback.handle(&mut whole);
            });
        }
        microphones.flush();
        speakers.flush();
    }
    let (captured, played) = (counters.capture.read(), counters.playback.read());
    assert!(captured.glitches > 0 && played.glitches > 0, "{captured:?}, {played:?}");
    assert_eq!(captured.callbacks + played.callbacks, 5 * 200 * 4);
    assert_eq!(allocations, 0);
}
