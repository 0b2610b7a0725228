//! A path on which packets get lost: what arrives at its address goes on to another one, and back.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

/// How soon its threads notice that it is over.
const LOOK: Duration = Duration::from_millis(100);

/// A running path; it ends with its owner.
pub(crate) struct LossyPath {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    passed: Arc<AtomicU64>,
    dropped: Arc<AtomicU64>,
}

impl LossyPath {
    /// A path to a port of this machine that loses `share` of the packets in each direction, at random
    /// from a seed. It carries one client's packets: whoever sent the last one.
    pub(crate) fn start(port: u16, share: f64, seed: u64) -> Self {
        let socket = || {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
            socket.set_read_timeout(Some(LOOK)).expect("sockets have timeouts");
            Arc::new(socket)
        };
        let (front, back) = (socket(), socket());
        back.connect((Ipv4Addr::LOCALHOST, port)).expect("loopback is always there");
        let address = front.local_addr().expect("a bound socket has an address");
        let path = Self { address, stop: Arc::default(), passed: Arc::default(), dropped: Arc::default() };
        let client = Arc::new(Mutex::new(None));
        let (to, from) = ((front.clone(), back.clone()), (back, front));
        let known = client.clone();
        path.carry(to.0, share, seed, move |from, packet| {
            *known.lock().expect("nobody panics with it") = Some(from);
            // An error here is one more lost packet.
            let _ = to.1.send(packet);
        });
        path.carry(from.0, share, seed + 1, move |_, packet| {
            if let Some(client) = *client.lock().expect("nobody panics with it") {
                let _ = from.1.send_to(packet, client);
            }
        });
        path
    }

    /// Where to send to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The share of packets lost so far.
    pub(crate) fn lost(&self) -> f64 {
        let (passed, dropped) = (self.passed.load(Relaxed) as f64, self.dropped.load(Relaxed) as f64);
        dropped / (passed + dropped).max(1.0)
    }

    fn carry(
        &self,
        socket: Arc<UdpSocket>,
        share: f64,
        seed: u64,
        forward: impl Fn(SocketAddr, &[u8]) + Send + 'static,
    ) {
        let (stop, passed, dropped) = (self.stop.clone(), self.passed.clone(), self.dropped.clone());
        thread::spawn(move || {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let mut buffer = [0; 2048];
            while !stop.load(Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                if random.random_bool(share) {
                    dropped.fetch_add(1, Relaxed);
                } else {
                    passed.fetch_add(1, Relaxed);
                    forward(from, &buffer[..length]);
                }
            }
        });
    }
}

impl Drop for LossyPath {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}
