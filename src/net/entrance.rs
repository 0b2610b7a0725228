//! The gate in front of the socket: `protocol::door` with a clock and a lock.
//!
//! Locks are held for one datagram. Whoever listens is asked with the gate locked, and must not come back here.

use protocol::door::{Gate, Keys, KnockKey, Name, Strangers, Verdict};
use protocol::path::Route;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Who answers at the door: the keys that open it, and what becomes of those who have none.
pub trait Listener: Keys + Send + Sync {
    /// What becomes of them.
    fn strangers(&self) -> Strangers;
}

/// Nobody listens yet, or whoever does looks after itself.
struct NoKeys(Strangers);

impl Keys for NoKeys {
    fn key(&self, _name: Name) -> Option<KnockKey> {
        None
    }
}

impl Listener for NoKeys {
    fn strangers(&self) -> Strangers {
        self.0
    }
}

/// The gate, and who listens behind it.
pub struct Entrance {
    zero: Instant,
    inner: Mutex<(Gate, Arc<dyn Listener>)>,
}

impl Entrance {
    /// A gate that lets everybody through until somebody listens.
    pub fn new(seed: [u8; 32]) -> Self {
        let nobody = Arc::new(NoKeys(Strangers::Welcome));
        Self { zero: Instant::now(), inner: Mutex::new((Gate::new(seed), nobody)) }
    }

    /// From now on nobody gets in, but for answers to what we sent.
    pub fn shut(&self) {
        self.listen(Arc::new(NoKeys(Strangers::Ignored)));
    }

    /// From now on `listener` says who gets in.
    pub fn listen(&self, listener: Arc<dyn Listener>) {
        self.inner.lock().expect("no holder of the gate panics").1 = listener;
    }

    /// Takes a knock or the answer to a challenge; returns whether the datagram was one.
    pub fn handle(&self, from: Route, datagram: &[u8]) -> bool {
        let now = self.zero.elapsed();
        let (gate, listener) = &mut *self.inner.lock().expect("no holder of the gate panics");
        gate.handle(from, datagram, &**listener, now, now_unix())
    }

    /// Decides about a first packet.
    pub fn judge(&self, from: Route, packet: &[u8]) -> Verdict {
        let now = self.zero.elapsed();
        let (gate, listener) = &mut *self.inner.lock().expect("no holder of the gate panics");
        gate.judge(from, packet, listener.strangers(), now)
    }
}

/// Unix time in seconds.
pub fn now_unix() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl fmt::Debug for Entrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entrance(..)")
    }
}
