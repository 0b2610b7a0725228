//! The thread that ticks the engine in a live call.

use super::engine::{Engine, Microphone, Speaker};
use super::rhythm::{Rhythm, nap};
use crate::audio::{CaptureReader, PlaybackWriter};
use protocol::media::Frame;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, oneshot};

/// Between two publications of the peers' reports.
const PUBLICATION_INTERVAL: Duration = Duration::from_millis(50);

/// A running voice thread; it ends when this is dropped.
#[derive(Debug)]
pub struct VoiceThread {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    ended: oneshot::Receiver<()>,
}

impl VoiceThread {
    /// Starts ticking. `epoch` is the zero of the engine's clock; `frames` gets each frame to be sent.
    pub fn start(
        mut engine: Engine,
        mut microphone: impl Microphone + Send + 'static,
        mut speaker: impl Speaker + Send + 'static,
        epoch: Instant,
        frames: broadcast::Sender<Frame>,
    ) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let (alive, ended) = oneshot::channel();
        let thread = thread::Builder::new().name("voice".into()).spawn(move || {
            // Dropped however this ends, so that a panic does not go unnoticed.
            let _alive: oneshot::Sender<()> = alive;
            let (mut capture, mut playback) = (Rhythm::default(), Rhythm::default());
            let mut published = Duration::ZERO;
            while !stopped.load(Ordering::Relaxed) {
                let mut encoded = Outbox::default();
                let now = epoch.elapsed();
                let done = engine.tick(now, &mut microphone, &mut speaker, |frame| encoded.push(frame));
                for frame in encoded.drain() {
                    // Nobody listens yet: nothing to do.
                    let _ = frames.send(frame);
                }
                if done.captured {
                    capture.beat(now);
                }
                if done.rendered {
                    playback.beat(now);
                }
                if now - published > PUBLICATION_INTERVAL {
                    engine.publish();
                    published = now;
                }
                thread::park_timeout(nap(&[capture, playback], epoch.elapsed()));
            }
        })?;
        Ok(Self { stop, thread: Some(thread), ended })
    }

    /// Resolves when the thread is gone, which before this is dropped means that it panicked. Must not
    /// be asked again after that.
    pub async fn ended(&mut self) {
        // Nothing is ever sent: it is the end of the sender that tells.
        let _ = (&mut self.ended).await;
    }
}

impl Drop for VoiceThread {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic of the engine has already been reported on its own thread.
            let _ = thread.join();
        }
    }
}

/// Frames of one tick, kept so that sending (which takes a lock) happens outside it.
#[derive(Default)]
struct Outbox {
    frames: [Option<Frame>; Self::MAX],
    count: usize,
}

impl Outbox {
    /// Frames one tick may send: 80 ms at the shortest frames. More means that the thread was held up, and
    /// then the oldest are not worth sending.
    const MAX: usize = 8;

    fn push(&mut self, frame: Frame) {
        if self.count == Self::MAX {
            self.frames.rotate_left(1);
            self.count -= 1;
        }
        self.frames[self.count] = Some(frame);
        self.count += 1;
    }

    fn drain(&mut self) -> impl Iterator<Item = Frame> {
        self.count = 0;
        std::mem::take(&mut self.frames).into_iter().flatten()
    }
}

impl Microphone for CaptureReader {
    fn available(&mut self) -> usize {
        self.available()
    }

    fn read(&mut self, out: &mut [f32]) -> bool {
        self.read(out)
    }
}

impl Speaker for PlaybackWriter {
    fn wanted(&mut self) -> usize {
        self.wanted()
    }

    fn write(&mut self, samples: &[f32]) {
        self.write(samples);
    }
}

#[cfg(test)]
mod tests {
    use super::{Microphone, Speaker, VoiceThread};
    use crate::voice::engine::engine;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, mpsc};
    use std::time::{Duration, Instant};
    use tokio::sync::broadcast;

    /// A microphone that works until it is told to panic.
    struct Fragile(Arc<AtomicBool>);

    impl Microphone for Fragile {
        fn available(&mut self) -> usize {
            assert!(!self.0.load(Ordering::Relaxed), "this panic is part of the test");
            0
        }

        fn read(&mut self, _out: &mut [f32]) -> bool {
            false
        }
    }

    /// Tells that it was asked.
    struct Deaf(mpsc::Sender<()>);

    impl Speaker for Deaf {
        fn wanted(&mut self) -> usize {
            let _ = self.0.send(());
            0
        }

        fn write(&mut self, _samples: &[f32]) {}
    }

    #[tokio::test]
    async fn a_panic_of_the_engine_is_noticed() {
        let (engine, _control) = engine(4, None).unwrap();
        let breaks = Arc::new(AtomicBool::new(false));
        let (asked, ticks) = mpsc::channel();
        let (frames, _) = broadcast::channel(8);
        let mut thread =
            VoiceThread::start(engine, Fragile(breaks.clone()), Deaf(asked), Instant::now(), frames).unwrap();
        ticks.recv_timeout(Duration::from_secs(10)).expect("it ticks");
        let soon = tokio::time::timeout(Duration::from_millis(50), thread.ended()).await;
        assert!(soon.is_err(), "it is told to have ended while it runs");
        breaks.store(true, Ordering::Relaxed);
        let end = tokio::time::timeout(Duration::from_secs(10), thread.ended()).await;
        assert!(end.is_ok(), "nobody notices that it is gone");
    }
}
