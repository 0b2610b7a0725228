//! A table whose entries expire.
//!
//! Prolonging an entry only writes its new expiry; its place in the queue of timers is corrected when that timer
//! comes up. So a busy entry costs one look-up a packet and one queue operation a timeout, which is what
//! lets a simulated router pass a million packets a second.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

#[derive(Debug)]
struct Entry<V> {
    value: V,
    expires: Duration,
    /// Under which time the entry is queued in `timers`; never later than `expires`.
    queued: Duration,
}

#[derive(Debug)]
pub(super) struct Aging<K, V> {
    entries: BTreeMap<K, Entry<V>>,
    timers: BTreeSet<(Duration, K)>,
}

impl<K: Ord + Copy, V> Aging<K, V> {
    pub(super) fn new() -> Self {
        Aging { entries: BTreeMap::new(), timers: BTreeSet::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn contains(&self, key: &K) -> bool {
        self.entries.contains_key(key)
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    pub(super) fn insert(&mut self, key: K, value: V, expires: Duration) {
        self.remove(&key);
        self.entries.insert(key, Entry { value, expires, queued: expires });
        self.timers.insert((expires, key));
    }

    /// The entry's value and its expiry, to change in place. An expiry may only grow.
    pub(super) fn get_mut(&mut self, key: &K) -> Option<(&mut V, &mut Duration)> {
        self.entries.get_mut(key).map(|entry| (&mut entry.value, &mut entry.expires))
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.remove(key)?;
        self.timers.remove(&(entry.queued, *key));
        Some(entry.value)
    }

    /// Takes out one entry that has expired by `now`; call it until there is none.
    pub(super) fn pop_expired(&mut self, now: Duration) -> Option<(K, V)> {
        while let Some(&(queued, key)) = self.timers.first().filter(|(queued, _)| *queued <= now) {
            self.timers.remove(&(queued, key));
            let entry = self.entries.get_mut(&key).expect("every timer belongs to an entry");
            if entry.expires <= now {
                let entry = self.entries.remove(&key).expect("looked up above");
                return Some((key, entry.value));
            }
            entry.queued = entry.expires;
            self.timers.insert((entry.expires, key));
        }
        None
    }

    pub(super) fn keys_in(&self, range: RangeInclusive<K>) -> Vec<K> {
        self.entries.range(range).map(|(key, _)| *key).collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, entry)| (key, &entry.value))
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.timers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_entry_expires_at_its_time_and_not_before() {
        let mut table = Aging::new();
        table.insert(1, 'a', s(10));
        assert_eq!(table.pop_expired(s(9)), None);
        assert_eq!(table.pop_expired(s(10)), Some((1, 'a')));
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn a_prolonged_entry_outlives_its_first_timer() {
        let mut table = Aging::new();
        table.insert(1, 'a', s(10));
        table.insert(2, 'b', s(10));
        *table.get_mut(&1).unwrap().1 = s(20);
        assert_eq!(table.pop_expired(s(15)), Some((2, 'b')));
        assert_eq!(table.pop_expired(s(15)), None);
        assert!(table.contains(&1));
        assert_eq!(table.pop_expired(s(20)), Some((1, 'a')));
    }

    #[test]
    fn a_removed_or_replaced_entry_leaves_no_timer_behind() {
        let mut table = Aging::new();
        table.insert(1, 'a', s(10));
        table.insert(1, 'b', s(30));
        table.insert(2, 'c', s(10));
        table.remove(&2);
        assert_eq!(table.pop_expired(s(20)), None);
        assert_eq!(table.timers.len(), 1);
    }
}
