//! A computer of its own: a tokio runtime whose clock moves only when it is told to.
//!
//! Each member's program runs on one. It can be suspended (its clock stands still), killed (the runtime is dropped,
//! and with it every task), and asked whether it leaks tasks. [`Machine::run_to`] moves its clock and lets everything
//! run that has something to do, until all of it waits again: tokio tells so by its hook for a thread that is about to
//! park. Time never passes by itself, since the runtime is never left to wait.

use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// A running computer.
#[derive(Debug)]
pub struct Machine {
    runtime: Runtime,
    idle: Arc<Idle>,
    /// Since its start, on its own clock.
    clock: Duration,
}

/// Whoever waits for everything else to have nothing to do.
#[derive(Debug, Default)]
struct Idle {
    waiter: Mutex<Option<Waker>>,
    reached: AtomicBool,
}

impl Machine {
    /// Switches one on.
    pub fn start() -> std::io::Result<Self> {
        let idle = Arc::<Idle>::default();
        let parking = idle.clone();
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .on_thread_park(move || parking.on_park())
            .build()?;
        Ok(Self { runtime, idle, clock: Duration::ZERO })
    }

    /// Does something at its present time, with its clock and its tasks around; it must not wait.
    pub fn now<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Moves its clock forward to `clock` and runs what is to be done until all tasks wait.
    pub fn run_to(&mut self, clock: Duration) {
        let by = clock.saturating_sub(self.clock);
        self.clock += by;
        let idle = &self.idle;
        self.runtime.block_on(async {
            if !by.is_zero() {
                tokio::time::advance(by).await;
            }
            idle.reached().await;
        });
    }

    /// Its clock, since its start.
    pub fn clock(&self) -> Duration {
        self.clock
    }

    /// Tasks that have not ended.
    pub fn tasks(&self) -> usize {
        self.runtime.metrics().num_alive_tasks()
    }
}

impl Idle {
    fn on_park(&self) {
        let waiter = self.waiter.lock().expect("nobody panics while holding a waker").take();
        if let Some(waiter) = waiter {
            self.reached.store(true, Ordering::Relaxed);
            waiter.wake();
        }
    }

    async fn reached(&self) {
        poll_fn(|cx| {
            if self.reached.swap(false, Ordering::Relaxed) {
                return Poll::Ready(());
            }
            *self.waiter.lock().expect("nobody panics while holding a waker") = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::Machine;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;
    use tokio::sync::mpsc;
    use tokio::time::{Instant, sleep};

    #[test]
    fn tasks_run_at_their_time_and_in_chains_until_all_of_them_wait() {
        let mut machine = Machine::start().expect("a runtime starts");
        let log = Arc::new(Mutex::new(Vec::new()));
        let (first, mut second) = mpsc::channel(8);
        let (third, mut fourth) = mpsc::channel(8);
        let noted = log.clone();
        machine.now(async {
            let start = Instant::now();
            tokio::spawn(async move {
                for _ in 0..3 {
                    sleep(Duration::from_millis(10)).await;
                    first.send(()).await.expect("the next task lives");
                }
            });
            tokio::spawn(async move {
                while second.recv().await.is_some() {
                    third.send(()).await.expect("the next task lives");
                }
            });
            tokio::spawn(async move {
                while fourth.recv().await.is_some() {
                    noted.lock().expect("no panic").push(start.elapsed().as_millis());
                }
            });
        });
        machine.run_to(Duration::ZERO);
        let times = |log: &Mutex<Vec<u128>>| log.lock().expect("no panic").clone();
        machine.run_to(Duration::from_micros(9_900));
        assert!(times(&log).is_empty());
        machine.run_to(Duration::from_millis(10));
        assert_eq!(times(&log), [10]);
        machine.run_to(Duration::from_millis(20));
        machine.run_to(Duration::from_millis(30));
        assert_eq!(times(&log), [10, 20, 30]);
        assert_eq!(machine.tasks(), 0, "all ended, since each hung up on the next");
    }

    #[test]
    fn a_machine_that_is_not_run_stands_still() {
        let mut machine = Machine::start().expect("a runtime starts");
        let before = machine.now(async { Instant::now() });
        std::thread::sleep(Duration::from_millis(20));
        machine.run_to(Duration::from_millis(5));
        assert_eq!(machine.now(async move { before.elapsed() }), Duration::from_millis(5));
    }
}
