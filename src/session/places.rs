//! How many may be at the door at once: those who hold a key and those who do not are counted apart, so that no crowd of
//! strangers keeps a friend out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Handshakes under way at once, of those who knocked and of strangers. The others' packets are dropped and repeated.
const INVITED_MAX: usize = 16;
const STRANGERS_MAX: usize = 16;

/// Of one address: a household behind one joins faster than it fills them.
const INVITED_PER_ADDRESS: usize = 8;
const STRANGERS_PER_ADDRESS: usize = 4;

/// Connections that were closed by their first packet, which costs their sender nothing and us 20 KiB for a minute. While
/// there are as many, the door stays shut. Those of one address shut it to that address alone.
const LINGERING_MAX: usize = 512;
const LINGERING_PER_ADDRESS: usize = 4;

/// All places at a door.
pub(super) struct Places {
    invited: Pool,
    strangers: Pool,
}

struct Pool {
    handshakes: Arc<Semaphore>,
    lingering: Arc<Semaphore>,
    visitors: Visitors,
    loiterers: Visitors,
    per_address: usize,
}

/// A place for a handshake, and for what may remain of it.
pub(super) struct Place {
    /// Given back when the handshake is over.
    pub(super) handshake: (Visit, OwnedSemaphorePermit),
    /// Given back when nothing is left of the connection.
    pub(super) remains: (Visit, OwnedSemaphorePermit),
}

impl Default for Places {
    fn default() -> Self {
        Self {
            invited: Pool::new(INVITED_MAX, INVITED_PER_ADDRESS),
            strangers: Pool::new(STRANGERS_MAX, STRANGERS_PER_ADDRESS),
        }
    }
}

impl Places {
    /// A place for somebody from this address, if there is one.
    pub(super) fn enter(&self, from: IpAddr, invited: bool) -> Option<Place> {
        let pool = if invited { &self.invited } else { &self.strangers };
        let visit = pool.visitors.enter(from, pool.per_address)?;
        let loitering = pool.loiterers.enter(from, LINGERING_PER_ADDRESS.max(pool.per_address))?;
        let handshake = pool.handshakes.clone().try_acquire_owned().ok()?;
        let remains = pool.lingering.clone().try_acquire_owned().ok()?;
        Some(Place { handshake: (visit, handshake), remains: (loitering, remains) })
    }
}

impl Pool {
    fn new(handshakes: usize, per_address: usize) -> Self {
        Self {
            handshakes: Arc::new(Semaphore::new(handshakes)),
            lingering: Arc::new(Semaphore::new(LINGERING_MAX)),
            visitors: Visitors::default(),
            loiterers: Visitors::default(),
            per_address,
        }
    }
}

/// How many are at the door from each address.
#[derive(Clone, Default)]
struct Visitors(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

/// One of them; it leaves when this is dropped.
pub(super) struct Visit(Visitors, IpAddr);

impl Visitors {
    fn enter(&self, from: IpAddr, most: usize) -> Option<Visit> {
        let mut counts = self.0.lock().expect("nobody panics while counting");
        let count = counts.entry(from).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Visit(self.clone(), from))
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let Self(Visitors(counts), from) = self;
        let mut counts = counts.lock().expect("nobody panics while counting");
        match counts.get_mut(from) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => drop(counts.remove(from)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Places;
    use std::net::IpAddr;

    fn address(host: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, host])
    }

    #[test]
    fn strangers_fill_their_own_places_only() {
        let places = Places::default();
        let crowd: Vec<_> = (0..=255).filter_map(|host| places.enter(address(host), false)).collect();
        assert_eq!(crowd.len(), 16);
        assert!(places.enter(address(1), true).is_some());
        drop(crowd);
        assert!(places.enter(address(1), false).is_some());
    }

    #[test]
    fn one_address_takes_a_few_places() {
        let places = Places::default();
        let crowd: Vec<_> = (0..16).filter_map(|_| places.enter(address(1), false)).collect();
        assert_eq!(crowd.len(), 4);
        assert!(places.enter(address(2), false).is_some());
    }
}
