//! Connectivity checks as messages (RFC 8445, section 7.1).

use super::Role;
use crate::stun::{TransactionId, decode, encode, error_code, has_integrity, transaction_of};
use std::fmt;
use std::net::SocketAddr;
use stun_rs::attributes::ice::{IceControlled, IceControlling, Priority, UseCandidate};
use stun_rs::attributes::stun::{ErrorCode, Fingerprint, MessageIntegrity, UserName, XorMappedAddress};
use stun_rs::methods::BINDING;
use stun_rs::{HMACKey, MessageClass, StunAttribute};

/// The longest check anybody sends us.
const CHECK_BYTES_MAX: usize = 300;

/// How one side's agent is told and spoken to (RFC 8445, section 5.3).
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Its name, at least 4 characters.
    pub ufrag: String,
    /// Its password, at least 22 characters.
    pub pwd: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}

/// A request, read and authentic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) id: TransactionId,
    pub(super) nominates: bool,
    /// The role that the sender thinks it has, and its tie-breaker.
    pub(super) role: Role,
    pub(super) tie_breaker: u64,
}

/// The answer to one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Response {
    Success,
    /// 487: both sides think they have the same role.
    RoleConflict,
}

/// Writes and reads the checks of one pair of agents.
pub(super) struct Codec {
    local: Credentials,
    remote: Credentials,
    /// Integrity of what we send as requests and read as answers.
    remote_key: HMACKey,
    /// The other way round.
    local_key: HMACKey,
}

impl Codec {
    /// `None` when a password is none.
    pub(super) fn new(local: Credentials, remote: Credentials) -> Option<Self> {
        let remote_key = HMACKey::new_short_term(&remote.pwd).ok()?;
        let local_key = HMACKey::new_short_term(&local.pwd).ok()?;
        Some(Self { local, remote, remote_key, local_key })
    }

    pub(super) fn request(
        &self,
        id: TransactionId,
        priority: u32,
        role: Role,
        tie_breaker: u64,
        nominate: bool,
    ) -> Vec<u8> {
        let username = format!("{}:{}", self.remote.ufrag, self.local.ufrag);
        let Ok(username) = UserName::new(&username) else { return Vec::new() };
        let mut attributes: Vec<StunAttribute> = vec![username.into(), Priority::from(priority).into()];
        attributes.push(match role {
            Role::Controlling => IceControlling::from(tie_breaker).into(),
            Role::Controlled => IceControlled::from(tie_breaker).into(),
        });
        if nominate {
            attributes.push(UseCandidate::default().into());
        }
        self.finish(MessageClass::Request, id, attributes, &self.remote_key)
    }

    pub(super) fn success(&self, id: TransactionId, seen: SocketAddr) -> Vec<u8> {
        let attributes = vec![XorMappedAddress::from(seen).into()];
        self.finish(MessageClass::SuccessResponse, id, attributes, &self.local_key)
    }

    pub(super) fn role_conflict(&self, id: TransactionId) -> Vec<u8> {
        let Ok(code) = stun_rs::ErrorCode::new(487, "Role Conflict") else { return Vec::new() };
        let attributes = vec![ErrorCode::new(code).into()];
        self.finish(MessageClass::ErrorResponse, id, attributes, &self.local_key)
    }

    fn finish(
        &self,
        class: MessageClass,
        id: TransactionId,
        mut attributes: Vec<StunAttribute>,
        key: &HMACKey,
    ) -> Vec<u8> {
        attributes.push(MessageIntegrity::new(key.clone()).into());
        attributes.push(Fingerprint::default().into());
        encode(BINDING, class, id, attributes).unwrap_or_default()
    }

    /// An authentic request to our agent.
    pub(super) fn read_request(&self, bytes: &[u8]) -> Option<Request> {
        let (receiver, sender) = username_of(bytes)?;
        if receiver != self.local.ufrag
            || sender != self.remote.ufrag
            || !has_integrity(bytes, &self.local_key)
        {
            return None;
        }
        let message = decode(bytes)?;
        let controlling = message.get::<IceControlling>().and_then(|a| a.as_ice_controlling().ok());
        let controlled = message.get::<IceControlled>().and_then(|a| a.as_ice_controlled().ok());
        let (role, tie_breaker) = match (controlling, controlled) {
            (Some(controlling), _) => (Role::Controlling, controlling.as_u64()),
            (None, Some(controlled)) => (Role::Controlled, controlled.as_u64()),
            (None, None) => return None,
        };
        let nominates = message.get::<UseCandidate>().is_some();
        Some(Request { id: transaction_of(bytes)?, nominates, role, tie_breaker })
    }

    /// An authentic answer.
    pub(super) fn read_response(&self, bytes: &[u8]) -> Option<Response> {
        if bytes.len() > CHECK_BYTES_MAX || !has_integrity(bytes, &self.remote_key) {
            return None;
        }
        let message = decode(bytes)?;
        match message.class() {
            MessageClass::SuccessResponse if message.method() == BINDING => Some(Response::Success),
            MessageClass::ErrorResponse if error_code(&message) == Some(487) => Some(Response::RoleConflict),
            _ => None,
        }
    }
}

/// The agents' names in a Binding request: the receiver's, then the sender's. Nothing is validated.
pub fn username_of(bytes: &[u8]) -> Option<(String, String)> {
    if bytes.len() > CHECK_BYTES_MAX || bytes.get(..2)? != [0, 1] {
        return None;
    }
    let message = decode(bytes)?;
    let username = message.get::<UserName>()?.as_user_name().ok()?;
    let (receiver, sender) = username.as_str().split_once(':')?;
    Some((receiver.to_owned(), sender.to_owned()))
}
