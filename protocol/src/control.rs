//! Reliable messages between two members, on the stream that carried their handshake.
//!
//! Each message is framed as a length (two bytes, big-endian, counting what follows), a kind (one byte) and
//! a CBOR map (RFC 8949) with integer keys. A reader skips keys and kinds it does not know, so that later
//! versions may add some; a message that is too long or not CBOR ends the connection that sent it.
//!
//! | kind | message |
//! |---|---|
//! | 1 | [`Welcome`] |
//! | 2 | [`Members`] |
//! | 3 | [`Grants`] |
//! | 4 | [`VoiceState`] |
//! | 5 | [`Leave`] |
//! | 6 | [`Candidates`] |
//! | 7 | [`Chat`] |
//! | 8 | [`Heads`] |
//! | 9 | [`Operations`] |
//! | 10 | [`Epoch`] |

use crate::limits::CONTROL_MESSAGE_BYTES_MAX;
use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{Decode, Encode};

/// What the member that let a newcomer in tells it after all [`Operations`].
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Welcome {
    /// The secret by which members recognise each other at present.
    #[n(1)]
    pub epoch_secret: ByteArray<32>,
    /// Everybody in the group, the sender included.
    #[n(2)]
    pub members: Vec<Member>,
    /// The tickets that are valid now.
    #[n(3)]
    pub grants: Vec<Grant>,
    /// Which group this is.
    #[n(4)]
    pub group: ByteArray<16>,
}

impl std::fmt::Debug for Welcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Welcome").field("members", &self.members).finish_non_exhaustive()
    }
}

/// One member as others describe it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Member {
    /// The member's Ed25519 public key.
    #[n(0)]
    pub id: ByteArray<32>,
    /// Its display name.
    #[n(1)]
    pub name: String,
    /// Addresses at which it may be reached, as text (`203.0.113.5:4700`), best first.
    #[n(2)]
    pub addresses: Vec<String>,
    /// Where it may be reached through TURN servers, as text (see [`RelayedReach`](crate::reach::RelayedReach)).
    #[n(3)]
    #[cbor(default)]
    pub relays: Vec<String>,
}

/// Members the receiver may not know yet.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Members {
    /// The members.
    #[n(0)]
    pub members: Vec<Member>,
}

/// A ticket that any member may honour.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Grant {
    /// The ticket's id.
    #[n(0)]
    pub ticket: ByteArray<8>,
    /// The ticket's secret.
    #[n(1)]
    pub secret: ByteArray<16>,
    /// Unix time in seconds after which it is void.
    #[n(2)]
    pub expiry: u64,
    /// Who minted it.
    #[n(3)]
    pub issuer: ByteArray<32>,
    /// The epoch's name in which it was minted, and with which it ends.
    #[n(4)]
    pub epoch: u64,
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grant").field("expiry", &self.expiry).finish_non_exhaustive()
    }
}

/// Tickets minted since the receiver joined.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Grants {
    /// The tickets.
    #[n(0)]
    pub grants: Vec<Grant>,
}

/// What a member's voice is doing, for others to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct VoiceState {
    /// Its microphone is off.
    #[n(0)]
    pub muted: bool,
    /// It hears nobody.
    #[n(1)]
    pub deafened: bool,
}

/// The sender leaves the group.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Leave {}

/// Addresses at which the sender can be checked for a path to it (RFC 8838): all that it has now. What was told before
/// and is missing here is gone.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Candidates {
    /// The addresses.
    #[n(0)]
    pub candidates: Vec<CandidateInfo>,
    /// How its NAT chooses ports: 0 unknown, 1 no NAT, 2 independent of the destination, 3 sequential, 4 random.
    #[n(1)]
    pub mapping: u8,
    /// The step of sequential ports.
    #[n(2)]
    pub step: i16,
    /// The outside address of its newest mapping, as text.
    #[n(3)]
    pub newest: Option<String>,
}

/// One address in [`Candidates`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CandidateInfo {
    /// Where it comes from (RFC 8445, section 5.1.1): 0 host, 1 server reflexive, 2 peer reflexive, 3 relayed.
    #[n(0)]
    pub kind: u8,
    /// The address, as text.
    #[n(1)]
    pub address: String,
}

/// A line of text to everybody; see [`chat`](crate::chat).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Chat {
    /// One more than that of the sender's line before.
    #[n(0)]
    pub id: u32,
    /// The text as the sender wrote it: whoever shows it makes it safe first.
    #[n(1)]
    pub text: String,
}

/// Operations that the sender knows, the newest and some older ones: the receiver answers with those that come after or
/// beside them.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Heads {
    /// Ids of operations.
    #[n(0)]
    pub heads: Vec<ByteArray<32>>,
}

/// What members said about the group, predecessors first. A long history comes in several messages.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Operations {
    /// The operations.
    #[n(0)]
    pub operations: Vec<SignedOperation>,
}

/// One operation, see [`group`](crate::group).
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SignedOperation {
    /// What is said.
    #[n(0)]
    pub body: ByteVec,
    /// Its author's signature.
    #[n(1)]
    pub signature: ByteArray<64>,
}

impl std::fmt::Debug for SignedOperation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SignedOperation({} bytes)", self.body.len())
    }
}

/// The secret of the epoch that a removal began.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Epoch {
    /// It fits the removal's commitment.
    #[n(0)]
    pub secret: ByteArray<32>,
}

impl std::fmt::Debug for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Epoch(..)")
    }
}

/// One control message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// To a newcomer, once.
    Welcome(Welcome),
    /// Members the receiver may not know.
    Members(Members),
    /// Tickets the receiver may not know.
    Grants(Grants),
    /// Muted, deafened.
    VoiceState(VoiceState),
    /// The sender leaves for good.
    Leave(Leave),
    /// Where the sender may be reached now.
    Candidates(Candidates),
    /// A line of text.
    Chat(Chat),
    /// What the sender knows of the group.
    Heads(Heads),
    /// What the receiver may not know of the group.
    Operations(Operations),
    /// To those who stay after a removal.
    Epoch(Epoch),
}

/// Why a control stream is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// Longer than [`CONTROL_MESSAGE_BYTES_MAX`], or empty.
    #[error("a control message of {0} bytes")]
    Length(usize),
    /// Not the CBOR its kind asks for.
    #[error("a malformed control message of kind {0}")]
    Malformed(u8),
}

const LENGTH_BYTES: usize = 2;

impl Message {
    /// The message with its length and kind in front.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, body) = match self {
            Self::Welcome(body) => (1, minicbor::to_vec(body)),
            Self::Members(body) => (2, minicbor::to_vec(body)),
            Self::Grants(body) => (3, minicbor::to_vec(body)),
            Self::VoiceState(body) => (4, minicbor::to_vec(body)),
            Self::Leave(body) => (5, minicbor::to_vec(body)),
            Self::Candidates(body) => (6, minicbor::to_vec(body)),
            Self::Chat(body) => (7, minicbor::to_vec(body)),
            Self::Heads(body) => (8, minicbor::to_vec(body)),
            Self::Operations(body) => (9, minicbor::to_vec(body)),
            Self::Epoch(body) => (10, minicbor::to_vec(body)),
        };
        let body = body.expect("writing into a vector cannot fail");
        let length = u16::try_from(body.len() + 1).expect("tables that bound every message below 64 KiB");
        let mut bytes = Vec::with_capacity(LENGTH_BYTES + 1 + body.len());
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.push(kind);
        bytes.extend_from_slice(&body);
        bytes
    }

    /// Reads one message without its length; `None` for a kind of a later version.
    pub fn decode(framed: &[u8]) -> Result<Option<Self>, ControlError> {
        let (&kind, body) = framed.split_first().ok_or(ControlError::Length(0))?;
        let malformed = |_| ControlError::Malformed(kind);
        Ok(Some(match kind {
            1 => Self::Welcome(minicbor::decode(body).map_err(malformed)?),
            2 => Self::Members(minicbor::decode(body).map_err(malformed)?),
            3 => Self::Grants(minicbor::decode(body).map_err(malformed)?),
            4 => Self::VoiceState(minicbor::decode(body).map_err(malformed)?),
            5 => Self::Leave(minicbor::decode(body).map_err(malformed)?),
            6 => Self::Candidates(minicbor::decode(body).map_err(malformed)?),
            7 => Self::Chat(minicbor::decode(body).map_err(malformed)?),
            8 => Self::Heads(minicbor::decode(body).map_err(malformed)?),
            9 => Self::Operations(minicbor::decode(body).map_err(malformed)?),
            10 => Self::Epoch(minicbor::decode(body).map_err(malformed)?),
            _ => return Ok(None),
        }))
    }
}

/// Cuts a stream of bytes into messages. Holds at most one message.
#[derive(Debug, Default)]
pub struct MessageReader {
    buffer: Vec<u8>,
}

impl MessageReader {
    /// Takes what the stream delivered.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message of a known kind, if there is one yet.
    pub fn next_message(&mut self) -> Result<Option<Message>, ControlError> {
        loop {
            let Some((length, rest)) = self.buffer.split_first_chunk::<LENGTH_BYTES>() else {
                return Ok(None);
            };
            let length = usize::from(u16::from_be_bytes(*length));
            if length == 0 || length > CONTROL_MESSAGE_BYTES_MAX {
                return Err(ControlError::Length(length));
            }
            let Some(framed) = rest.get(..length) else { return Ok(None) };
            let message = Message::decode(framed)?;
            self.buffer.drain(..LENGTH_BYTES + length);
            if message.is_some() {
                return Ok(message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ControlError, Leave, Member, Members, Message, MessageReader, VoiceState};
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    fn read_all(bytes: &[u8], step: usize) -> Result<Vec<Message>, ControlError> {
        let mut reader = MessageReader::default();
        let mut messages = Vec::new();
        for chunk in bytes.chunks(step) {
            reader.push(chunk);
            while let Some(message) = reader.next_message()? {
                messages.push(message);
            }
        }
        Ok(messages)
    }

    proptest! {
        #[test]
        fn messages_survive_any_cutting_of_the_stream(step in 1usize..50, muted: bool, id: [u8; 32]) {
            let member = Member { id: id.into(), name: "Zoë".into(), addresses: vec!["[::1]:4700".into()], relays: Vec::new() };
            let messages = vec![
                Message::VoiceState(VoiceState { muted, deafened: false }),
                Message::Members(Members { members: vec![member] }),
                Message::Leave(Leave {}),
            ];
            let bytes: Vec<u8> = messages.iter().flat_map(Message::encode).collect();
            prop_assert_eq!(read_all(&bytes, step), Ok(messages));
        }

        #[test]
        fn garbage_is_an_error_and_never_a_panic(bytes in vec(any::<u8>(), 0..400)) {
            let _ = read_all(&bytes, 64);
            let _ = Message::decode(&bytes);
        }
    }

    #[test]
    fn kinds_of_a_later_version_are_skipped() {
        let mut bytes = vec![0, 3, 200, 1, 2];
        bytes.extend(Message::Leave(Leave {}).encode());
        assert_eq!(read_all(&bytes, 1), Ok(vec![Message::Leave(Leave {})]));
    }

    #[test]
    fn fields_of_a_later_version_are_skipped() {
        // {0: true, 1: false, 9: "later"}
        let body = [4, 0xa3, 0x00, 0xf5, 0x01, 0xf4, 0x09, 0x65, b'l', b'a', b't', b'e', b'r'];
        let expected = Message::VoiceState(VoiceState { muted: true, deafened: false });
        assert_eq!(Message::decode(&body), Ok(Some(expected)));
    }

    #[test]
    fn an_oversized_message_is_refused_before_it_is_buffered() {
        assert_eq!(read_all(&[0xff, 0xff, 1], 3), Err(ControlError::Length(0xffff)));
    }
}
