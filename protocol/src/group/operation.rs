//! What a member says about the group: one signed operation, tied by hashes to all that its author knew.
//!
//! # On the wire
//! A *body* is a CBOR map (RFC 8949) with integer keys; readers skip keys they do not know. Its id is
//! `BLAKE3.derive_key("roundtable 1 group operation", body)`; the signature is Ed25519 over the id, by the author
//! (see [`identity`](crate::identity); context `roundtable 1 group operation`).
//!
//! | key | field | encoding |
//! |---|---|---|
//! | 0 | author | peer id, 32 bytes |
//! | 1 | previous: the author's last operation, or the addition that made it a member | id, 32 bytes; absent in a creation |
//! | 2 | parents: the newest operations known besides, so that all others known come before these | array of at most [`PARENTS_MAX`] ids |
//! | 3 | action | unsigned, see [`Action`] |
//! | 4 | subject | peer id, 32 bytes |
//! | 5 | value | unsigned |
//! | 6 | ticket | 8 bytes |
//! | 7 | nonce or commitment | 32 bytes |
//!
//! An action of a later version keeps its place in the history and has no effect.

use crate::id::{GroupId, PeerId};
use crate::identity::{Identity, Signed, verify};
use crate::invite::TicketId;
use crate::limits::{OPERATION_BYTES_MAX, PARENTS_MAX};
use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};
use std::fmt;

const ID_DERIVATION: &str = "roundtable 1 group operation";
const SIGNING_CONTEXT: &str = "roundtable 1 group operation";

/// The hash of an operation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(pub [u8; 32]);

/// What a member may be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// 0: talks, invites, lets in.
    Member,
    /// 1: removes, locks, and makes others moderators as well.
    Moderator,
    /// 2: whoever created the group; nobody removes them.
    Founder,
}

/// How one comes in, from the most to the least welcoming.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Admission {
    /// 0: whoever holds a valid ticket or the password.
    Open,
    /// 1: whoever a member lets in.
    Knock,
    /// 2: nobody.
    Locked,
}

/// What an operation does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// 0: the group begins.
    Create {
        /// Random, so that no two groups are the same.
        nonce: [u8; 32],
        /// How one comes in.
        admission: Admission,
    },
    /// 1: somebody comes in.
    Add {
        /// Who.
        peer: PeerId,
        /// With which ticket.
        ticket: Option<TicketId>,
    },
    /// 2: somebody is put out, and a new epoch begins.
    Remove {
        /// Who.
        peer: PeerId,
        /// For good: only a moderator may let them in again.
        is_ban: bool,
        /// Of the epoch's secret, see [`commitment`](super::commitment).
        epoch: [u8; 32],
    },
    /// 3: somebody's role changes.
    SetRole {
        /// Whose.
        peer: PeerId,
        /// To this.
        role: Role,
    },
    /// 4: the way in changes.
    SetAdmission(Admission),
    /// 5: a ticket is worth nothing from now on.
    Revoke(TicketId),
    /// 6: the author goes.
    Leave,
    /// 7: somebody has been out of reach for as long as a seat is kept.
    MarkAbsent(PeerId),
    /// 8: the author is there, whatever was said.
    Return,
    /// Of a later version.
    Unknown(u8),
}

/// An operation. One from elsewhere exists only when its signature is good.
#[derive(Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its hash.
    pub id: OperationId,
    /// Who says it.
    pub author: PeerId,
    /// The operation of the author's that came before, or its addition.
    pub previous: Option<OperationId>,
    /// The newest others the author knew.
    pub parents: Vec<OperationId>,
    /// What it does.
    pub action: Action,
    body: Vec<u8>,
    signature: [u8; 64],
}

/// What came is no operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// It cannot be read.
    #[error("a malformed group operation")]
    Malformed,
    /// The signature is not its author's.
    #[error("a forged group operation")]
    Forged,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Body {
    #[n(0)]
    author: ByteArray<32>,
    #[n(1)]
    previous: Option<ByteArray<32>>,
    #[n(2)]
    parents: Vec<ByteArray<32>>,
    #[n(3)]
    action: u8,
    #[n(4)]
    subject: Option<ByteArray<32>>,
    #[n(5)]
    value: Option<u8>,
    #[n(6)]
    ticket: Option<ByteArray<8>>,
    #[n(7)]
    nonce: Option<ByteArray<32>>,
}

impl OperationId {
    /// The group whose creation this is.
    pub fn group(&self) -> GroupId {
        let (group, _) = self.0.split_first_chunk().expect("an id has 32 bytes");
        GroupId(*group)
    }
}

impl Role {
    fn from_code(code: u8) -> Option<Self> {
        [Self::Member, Self::Moderator, Self::Founder].into_iter().find(|role| *role as u8 == code)
    }
}

impl Admission {
    fn from_code(code: u8) -> Option<Self> {
        [Self::Open, Self::Knock, Self::Locked].into_iter().find(|admission| *admission as u8 == code)
    }
}

impl Operation {
    /// Says something, after `previous` and all of `parents`, of which at most [`PARENTS_MAX`] count.
    pub fn sign(
        identity: &Identity,
        previous: Option<OperationId>,
        mut parents: Vec<OperationId>,
        action: Action,
    ) -> Self {
        parents.truncate(PARENTS_MAX);
        let author = identity.peer_id();
        let body = Body {
            author: author.0.into(),
            previous: previous.map(|id| id.0.into()),
            parents: parents.iter().map(|id| id.0.into()).collect(),
            ..Body::of(action)
        };
        let body = minicbor::to_vec(body).expect("a vector takes every write");
        let id = OperationId(blake3::derive_key(ID_DERIVATION, &body));
        let signature = identity.sign(SIGNING_CONTEXT, &id.0);
        Self { id, author, previous, parents, action, body, signature }
    }

    /// Reads what [`body`](Self::body) and [`signature`](Self::signature) gave, and checks that its author said it.
    pub fn read(body: &[u8], signature: [u8; 64]) -> Result<Self, OperationError> {
        let read = Self::read_all([(body, signature)])?;
        Ok(read.into_iter().next().expect("one was read"))
    }

    /// The same for many, which is much faster than one by one. Fails if any of them is no good.
    pub fn read_all<'a>(
        wire: impl IntoIterator<Item = (&'a [u8], [u8; 64])>,
    ) -> Result<Vec<Self>, OperationError> {
        let read = wire.into_iter().map(|(body, signature)| Self::decode(body, signature));
        let read = read.collect::<Result<Vec<_>, _>>()?;
        let signed: Vec<Signed<'_>> = read
            .iter()
            .map(|said| Signed { by: said.author, message: &said.id.0, signature: said.signature })
            .collect();
        verify(SIGNING_CONTEXT, &signed).map_err(|_| OperationError::Forged)?;
        Ok(read)
    }

    /// What it says, whoever said it.
    fn decode(body: &[u8], signature: [u8; 64]) -> Result<Self, OperationError> {
        use OperationError::Malformed;
        if body.len() > OPERATION_BYTES_MAX {
            return Err(Malformed);
        }
        let mut decoder = minicbor::Decoder::new(body);
        let read: Body = decoder.decode().map_err(|_| Malformed)?;
        if decoder.position() != body.len() || read.parents.len() > PARENTS_MAX {
            return Err(Malformed);
        }
        let action = read.action().ok_or(Malformed)?;
        if read.previous.is_none() != matches!(action, Action::Create { .. }) {
            return Err(Malformed);
        }
        Ok(Self {
            id: OperationId(blake3::derive_key(ID_DERIVATION, body)),
            author: PeerId(*read.author),
            previous: read.previous.map(|id| OperationId(*id)),
            parents: read.parents.iter().map(|id| OperationId(**id)).collect(),
            action,
            body: body.to_vec(),
            signature,
        })
    }

    /// For the wire.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// For the wire.
    pub fn signature(&self) -> &[u8; 64] {
        &self.signature
    }

    /// All that it names as having come before.
    pub fn predecessors(&self) -> impl Iterator<Item = OperationId> {
        self.previous.into_iter().chain(self.parents.iter().copied())
    }
}

impl Body {
    fn of(action: Action) -> Self {
        let empty = Self {
            author: [0; 32].into(),
            previous: None,
            parents: Vec::new(),
            action: 0,
            subject: None,
            value: None,
            ticket: None,
            nonce: None,
        };
        let subject = |peer: PeerId| Some(peer.0.into());
        match action {
            Action::Create { nonce, admission } => {
                Self { action: 0, nonce: Some(nonce.into()), value: Some(admission as u8), ..empty }
            }
            Action::Add { peer, ticket } => {
                Self { action: 1, subject: subject(peer), ticket: ticket.map(|id| id.0.into()), ..empty }
            }
            Action::Remove { peer, is_ban, epoch } => Self {
                action: 2,
                subject: subject(peer),
                value: Some(u8::from(is_ban)),
                nonce: Some(epoch.into()),
                ..empty
            },
            Action::SetRole { peer, role } => {
                Self { action: 3, subject: subject(peer), value: Some(role as u8), ..empty }
            }
            Action::SetAdmission(admission) => Self { action: 4, value: Some(admission as u8), ..empty },
            Action::Revoke(ticket) => Self { action: 5, ticket: Some(ticket.0.into()), ..empty },
            Action::Leave => Self { action: 6, ..empty },
            Action::MarkAbsent(peer) => Self { action: 7, subject: subject(peer), ..empty },
            Action::Return => Self { action: 8, ..empty },
            Action::Unknown(action) => Self { action, ..empty },
        }
    }

    fn action(&self) -> Option<Action> {
        let subject = || self.subject.map(|peer| PeerId(*peer));
        let nonce = || self.nonce.map(|nonce| *nonce);
        let ticket = || self.ticket.map(|id| TicketId(*id));
        let admission = || self.value.and_then(Admission::from_code);
        Some(match self.action {
            0 => Action::Create { nonce: nonce()?, admission: admission()? },
            1 => Action::Add { peer: subject()?, ticket: ticket() },
            2 => Action::Remove { peer: subject()?, is_ban: self.value == Some(1), epoch: nonce()? },
            3 => Action::SetRole { peer: subject()?, role: self.value.and_then(Role::from_code)? },
            4 => Action::SetAdmission(admission()?),
            5 => Action::Revoke(ticket()?),
            6 => Action::Leave,
            7 => Action::MarkAbsent(subject()?),
            8 => Action::Return,
            later => Action::Unknown(later),
        })
    }
}

impl fmt::Debug for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OperationId({})", PeerId(self.0).short())
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation")
            .field("id", &self.id)
            .field("author", &self.author)
            .field("action", &self.action)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Admission, Operation, OperationError, OperationId, Role};
    use crate::id::PeerId;
    use crate::identity::Identity;
    use crate::invite::TicketId;
    use crate::limits::{OPERATION_BYTES_MAX, PARENTS_MAX};
    use proptest::prelude::{any, prop_assert, proptest};

    fn actions() -> [Action; 10] {
        let peer = PeerId([9; 32]);
        [
            Action::Create { nonce: [1; 32], admission: Admission::Knock },
            Action::Add { peer, ticket: Some(TicketId([3; 8])) },
            Action::Add { peer, ticket: None },
            Action::Remove { peer, is_ban: true, epoch: [4; 32] },
            Action::SetRole { peer, role: Role::Moderator },
            Action::SetAdmission(Admission::Locked),
            Action::Revoke(TicketId([5; 8])),
            Action::Leave,
            Action::MarkAbsent(peer),
            Action::Return,
        ]
    }

    fn signed(action: Action) -> Operation {
        let previous = match action {
            Action::Create { .. } => None,
            _ => Some(OperationId([7; 32])),
        };
        let parents = vec![OperationId([8; 32]); PARENTS_MAX + 1];
        Operation::sign(&Identity::from_seed(&[1; 32]), previous, parents, action)
    }

    #[test]
    fn every_action_survives_the_wire_and_the_longest_fits() {
        for action in actions() {
            let operation = signed(action);
            assert!(operation.body().len() <= OPERATION_BYTES_MAX);
            assert_eq!(Operation::read(operation.body(), *operation.signature()), Ok(operation));
        }
    }

    #[test]
    fn no_bit_can_change() {
        let operation = signed(actions()[3]);
        for bit in 0..operation.body().len() * 8 {
            let mut body = operation.body().to_vec();
            body[bit / 8] ^= 1 << (bit % 8);
            assert!(Operation::read(&body, *operation.signature()).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn what_later_versions_say_keeps_its_place() {
        let operation = signed(Action::Unknown(99));
        let read = Operation::read(operation.body(), *operation.signature()).expect("it is well formed");
        assert_eq!(read.action, Action::Unknown(99));
    }

    #[test]
    fn only_a_creation_comes_first() {
        let identity = Identity::from_seed(&[1; 32]);
        let orphan = Operation::sign(&identity, None, Vec::new(), Action::Leave);
        let read = Operation::read(orphan.body(), *orphan.signature());
        assert_eq!(read, Err(OperationError::Malformed));
    }

    proptest! {
        #[test]
        fn garbage_is_an_error_and_never_a_panic(body: Vec<u8>, half in any::<[u8; 32]>()) {
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(&half);
            prop_assert!(Operation::read(&body, signature).is_err());
        }
    }
}
