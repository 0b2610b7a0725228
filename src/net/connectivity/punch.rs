//! Opening the way for somebody who is about to come: packets that arrive nowhere but let the answer in.

use crate::net::socket::PathSocket;
use protocol::path::Route;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Openings under way at once.
const PUNCHES_MAX: usize = 16;

/// Between two packets to the same address: a newcomer repeats its first packet after 0.3, 0.9 and 2.1 s.
const INTERVAL: Duration = Duration::from_millis(200);

/// The first packet dies before it reaches the other side's router, which may take what it did not expect for itself.
const FIRST_HOPS: u8 = 2;

/// A STUN Binding indication (RFC 8489, section 5), which nobody answers.
const NOTHING: [u8; 20] = [0x00, 0x11, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Opens ways, a bounded number at a time.
#[derive(Debug)]
pub(super) struct Puncher(Arc<Semaphore>);

impl Default for Puncher {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(PUNCHES_MAX)))
    }
}

impl Puncher {
    /// Sends to all addresses for a while.
    pub(super) fn punch(&self, socket: &Arc<PathSocket>, addresses: Vec<SocketAddr>, how_long: Duration) {
        let Ok(place) = self.0.clone().try_acquire_owned() else { return };
        let socket = socket.clone();
        tokio::spawn(async move {
            let rounds = how_long.as_millis() / INTERVAL.as_millis();
            for round in 0..=rounds {
                for &address in &addresses {
                    let hops = (round == 0).then_some(FIRST_HOPS);
                    // What cannot be sent now is sent the next time.
                    let _ = socket.send(Route::direct(address), &NOTHING, hops);
                }
                tokio::time::sleep(INTERVAL).await;
            }
            drop(place);
        });
    }
}
