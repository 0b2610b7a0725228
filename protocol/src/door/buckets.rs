//! Token buckets by key, in a table that cannot grow.

use std::collections::BTreeMap;
use std::time::Duration;

/// Keys of one generation; the table holds two.
const GENERATION: usize = 2048;

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Duration,
}

/// One bucket for each key. When too many keys are in use, those not used for longest start afresh: a flood from
/// countless addresses is for the bucket of all to stop.
#[derive(Debug)]
pub struct Buckets<K> {
    burst: f64,
    per_second: f64,
    young: BTreeMap<K, Bucket>,
    old: BTreeMap<K, Bucket>,
}

impl<K: Ord> Buckets<K> {
    /// Buckets that hold `burst` and gain `per_second`.
    pub fn new(burst: u32, per_second: u32) -> Self {
        Self {
            burst: f64::from(burst),
            per_second: f64::from(per_second),
            young: BTreeMap::new(),
            old: BTreeMap::new(),
        }
    }

    /// Takes one from a bucket; `false` when it is empty.
    pub fn take(&mut self, key: K, now: Duration) -> bool {
        let (burst, per_second) = (self.burst, self.per_second);
        let mut bucket = match self.young.remove(&key) {
            Some(bucket) => bucket,
            None => {
                if self.young.len() >= GENERATION {
                    self.old = std::mem::take(&mut self.young);
                }
                self.old.remove(&key).unwrap_or(Bucket { tokens: burst, at: now })
            }
        };
        let gained = now.saturating_sub(bucket.at).as_secs_f64() * per_second;
        bucket.tokens = (bucket.tokens + gained).min(burst);
        bucket.at = now;
        let has = bucket.tokens >= 1.0;
        if has {
            bucket.tokens -= 1.0;
        }
        self.young.insert(key, bucket);
        has
    }

    /// Keys that are remembered.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
