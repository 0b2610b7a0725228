//! Long-term credentials (RFC 8489 section 9.2): who is asking, and with which key to answer.
//!
//! A nonce carries its time and a keyed hash over that time and the client's address, so the server remembers
//! none. Nonces are checked before passwords, as coturn does.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use stun_rs::attributes::stun::{MessageIntegrity, Nonce, Realm, UserName};
use stun_rs::{Algorithm, AlgorithmId, HMACKey, StunMessage};
use thiserror::Error;

use super::super::message::{self, Refusal};
use super::TurnConfig;

/// A realm, user name or password that cannot be written in a STUN message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadCredentials {
    /// The realm.
    #[error("realm {0:?} cannot be written in a STUN message")]
    Realm(String),
    /// A user's name or password.
    #[error("user {0:?}'s name or password cannot be written in a STUN message")]
    User(String),
}

#[derive(Debug)]
pub(super) struct Authenticator {
    realm: Realm,
    /// MD5(user ":" realm ":" password) by user.
    keys: BTreeMap<String, HMACKey>,
    nonce_key: [u8; 32],
    nonce_lifetime: Duration,
}

impl Authenticator {
    pub(super) fn new(config: &TurnConfig, nonce_key: [u8; 32]) -> Result<Self, BadCredentials> {
        let realm = Realm::new(&config.realm).map_err(|_| BadCredentials::Realm(config.realm.clone()))?;
        let mut keys = BTreeMap::new();
        for (user, password) in &config.users {
            let wrong = || BadCredentials::User(user.clone());
            UserName::new(user).map_err(|_| wrong())?;
            let algorithm = Algorithm::from(AlgorithmId::MD5);
            let key =
                HMACKey::new_long_term(user, &config.realm, password, algorithm).map_err(|_| wrong())?;
            keys.insert(user.clone(), key);
        }
        let nonce_lifetime = Duration::from_secs(u64::from(config.nonce_lifetime_s));
        Ok(Authenticator { realm, keys, nonce_key, nonce_lifetime })
    }

    /// All nonces given out so far become stale.
    pub(super) fn set_nonce_key(&mut self, nonce_key: [u8; 32]) {
        self.nonce_key = nonce_key;
    }

    /// The user whose request it is, and the key for the response.
    pub(super) fn authenticate(
        &self,
        now: Duration,
        from: SocketAddr,
        request: &StunMessage,
        datagram: &[u8],
    ) -> Result<(&str, &HMACKey), Refusal> {
        if request.get::<MessageIntegrity>().is_none() {
            return Err(self.challenge(401, now, from));
        }
        let user = request.get::<UserName>().and_then(|a| a.as_user_name().ok());
        let realm = request.get::<Realm>().and_then(|a| a.as_realm().ok());
        let nonce = request.get::<Nonce>().and_then(|a| a.as_nonce().ok());
        let (Some(user), Some(_), Some(nonce)) = (user, realm, nonce) else {
            return Err(Refusal::new(400));
        };
        if !self.is_fresh(now, from, nonce.as_str()) {
            return Err(self.challenge(438, now, from));
        }
        match self.keys.get_key_value(user.as_str()) {
            Some((user, key)) if message::has_integrity(datagram, key) => Ok((user, key)),
            Some(_) | None => Err(self.challenge(401, now, from)),
        }
    }

    fn challenge(&self, code: u16, now: Duration, from: SocketAddr) -> Refusal {
        let nonce = Nonce::new(self.nonce(now.as_secs(), from)).expect("hexadecimal digits can be quoted");
        Refusal { code, attributes: vec![self.realm.clone().into(), nonce.into()] }
    }

    fn nonce(&self, issued_s: u64, from: SocketAddr) -> String {
        let hash = blake3::keyed_hash(&self.nonce_key, format!("{issued_s} {from}").as_bytes());
        format!("{issued_s:08x}{}", &hash.to_hex()[..16])
    }

    fn is_fresh(&self, now: Duration, from: SocketAddr, nonce: &str) -> bool {
        let issued_s = nonce.get(..8).and_then(|digits| u64::from_str_radix(digits, 16).ok());
        issued_s.is_some_and(|issued_s| {
            let until = Duration::from_secs(issued_s) + self.nonce_lifetime;
            nonce == self.nonce(issued_s, from) && now < until
        })
    }
}
