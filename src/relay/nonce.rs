//! Nonces that need no memory: each carries its time, and a MAC over that and whom it was given to.
//!
//! So a stranger who asks with a thousand source addresses costs nothing but the answers, and a request that was
//! recorded cannot be replayed from elsewhere, nor later than [`LIFETIME`] (RFC 8489 section 9.2.4).

use super::server::Client;
use data_encoding::HEXLOWER;
use std::time::Duration;
use turn_server::codec::crypto::hmac_sha1;

/// RFC 8656 section 5 recommends an hour at most. A client that refreshes its allocation every five minutes or so
/// pays one more round trip for every second refresh.
const LIFETIME: Duration = Duration::from_secs(600);
const MAC_BYTES: usize = 10;

/// Makes nonces and knows them again.
pub(super) struct Nonces {
    key: [u8; 32],
}

impl Nonces {
    pub(super) fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// A nonce for `client`.
    pub(super) fn issue(&self, now: Duration, client: Client) -> String {
        self.at(now.as_secs(), client)
    }

    /// Whether it was given to `client`, and lately.
    pub(super) fn is_fresh(&self, now: Duration, client: Client, nonce: &str) -> bool {
        let time = nonce.get(..16).and_then(|hex| u64::from_str_radix(hex, 16).ok());
        time.is_some_and(|issued| {
            let young = issued <= now.as_secs() && now.as_secs() - issued < LIFETIME.as_secs();
            young && self.at(issued, client) == nonce
        })
    }

    fn at(&self, seconds: u64, client: Client) -> String {
        let mac = hmac_sha1(&self.key, &[&seconds.to_be_bytes(), client.to_string().as_bytes()]);
        format!("{seconds:016x}{}", HEXLOWER.encode(&mac[..MAC_BYTES]))
    }
}

#[cfg(test)]
mod tests {
    use super::{Client, LIFETIME, Nonces};
    use std::time::Duration;

    #[test]
    fn a_nonce_is_good_for_its_time_its_client_and_its_server() {
        let client = |text: &str| Client::udp(text.parse().unwrap());
        let (ada, bob) = (client("192.0.2.1:5000"), client("192.0.2.1:5001"));
        let nonces = Nonces::new([1; 32]);
        let now = Duration::from_secs(1000);
        let nonce = nonces.issue(now, ada);
        assert!(nonces.is_fresh(now, ada, &nonce));
        assert!(nonces.is_fresh(now + LIFETIME - Duration::from_secs(1), ada, &nonce));
        assert!(!nonces.is_fresh(now + LIFETIME, ada, &nonce));
        assert!(!nonces.is_fresh(now - Duration::from_secs(1), ada, &nonce));
        assert!(!nonces.is_fresh(now, bob, &nonce));
        assert!(!Nonces::new([2; 32]).is_fresh(now, ada, &nonce));
        for wrong in ["", "é", "0", &nonce[1..], &nonce.to_uppercase(), &format!("{nonce}0")] {
            assert!(!nonces.is_fresh(now, ada, wrong) || *wrong == nonce, "{wrong}");
        }
    }
}
