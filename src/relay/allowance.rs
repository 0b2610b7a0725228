//! How much somebody may have per second, with some saved up.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Strangers that are remembered. A full table answers no new ones until an old one has been quiet for as long as
/// its allowance takes to fill up, at most [`STRANGER_BURST`] / [`STRANGER_PER_SECOND`].
const STRANGERS_MAX: usize = 4096;
/// Answers per second to one address that showed no credentials. Everybody at home behind one router, asking with
/// retransmissions, stays below; somebody who makes us answer a victim gains nothing worth it.
const STRANGER_PER_SECOND: f64 = 50.0;
const STRANGER_BURST: f64 = 200.0;

/// A token bucket.
#[derive(Debug, Clone)]
pub struct Allowance {
    per_second: f64,
    burst: f64,
    left: f64,
    at: Duration,
}

impl Allowance {
    /// So much per second; `burst` may be saved up, and is there at the start.
    pub fn new(per_second: f64, burst: f64, now: Duration) -> Self {
        Self { per_second, burst, left: burst, at: now }
    }

    /// Takes `amount` if it is there.
    pub fn take(&mut self, now: Duration, amount: f64) -> bool {
        self.fill(now);
        let granted = self.left >= amount;
        if granted {
            self.left -= amount;
        }
        granted
    }

    /// Whether it has forgotten all that was taken.
    pub fn is_full(&mut self, now: Duration) -> bool {
        self.fill(now);
        self.left >= self.burst
    }

    fn fill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.left = (self.left + passed * self.per_second).min(self.burst);
        self.at = now;
    }
}

/// What each address gets before it has shown credentials.
#[derive(Debug, Default)]
pub struct Strangers(BTreeMap<IpAddr, Allowance>);

impl Strangers {
    /// Whether one more answer to this address is all right.
    pub fn admit(&mut self, now: Duration, ip: IpAddr) -> bool {
        let who = network(ip);
        if self.0.len() >= STRANGERS_MAX && !self.0.contains_key(&who) {
            self.0.retain(|_, allowance| !allowance.is_full(now));
            if self.0.len() >= STRANGERS_MAX {
                return false;
            }
        }
        let new = || Allowance::new(STRANGER_PER_SECOND, STRANGER_BURST, now);
        self.0.entry(who).or_insert_with(new).take(now, 1.0)
    }
}

/// One household has one IPv4 address and 2^64 IPv6 addresses.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Allowance, STRANGER_BURST, STRANGERS_MAX, Strangers};
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    #[test]
    fn what_is_taken_comes_back_with_time() {
        let mut allowance = Allowance::new(10.0, 20.0, Duration::ZERO);
        assert!(allowance.take(Duration::ZERO, 20.0));
        assert!(!allowance.take(Duration::ZERO, 1.0));
        assert!(allowance.take(Duration::from_millis(500), 5.0));
        assert!(!allowance.take(Duration::from_millis(500), 1.0));
        assert!(allowance.take(Duration::from_secs(60), 20.0));
        assert!(!allowance.take(Duration::from_secs(60), 1.0));
    }

    #[test]
    fn one_stranger_is_answered_no_more_and_the_next_still_is() {
        let mut strangers = Strangers::default();
        let (loud, quiet) = ("2001:db8::1".parse().unwrap(), "192.0.2.1".parse().unwrap());
        let answered = (0..1000).filter(|_| strangers.admit(Duration::ZERO, loud)).count();
        assert_eq!(answered, STRANGER_BURST as usize);
        // From another address of the same household.
        assert!(!strangers.admit(Duration::ZERO, "2001:db8::2".parse().unwrap()));
        assert!(strangers.admit(Duration::ZERO, quiet));
        assert!(strangers.admit(Duration::from_secs(1), loud));
    }

    #[test]
    fn strangers_without_number_take_no_room_without_end() {
        let mut strangers = Strangers::default();
        let ip = |number: usize| IpAddr::from(Ipv4Addr::from(u32::try_from(number).unwrap()));
        let answered =
            (0..3 * STRANGERS_MAX).filter(|&number| strangers.admit(Duration::ZERO, ip(number))).count();
        assert_eq!((answered, strangers.0.len()), (STRANGERS_MAX, STRANGERS_MAX));
        assert!(strangers.admit(Duration::from_secs(1), ip(3 * STRANGERS_MAX)));
    }
}
