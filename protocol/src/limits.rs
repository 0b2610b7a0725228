//! Every bound of the protocol in one place, each with what happens when it is reached.

use std::time::Duration;

/// Members of one group that one connects to. A newcomer beyond it is refused with "the group is full". How many the
/// history names is bounded by its length alone: if only so many of them counted, who came early could push out others.
pub const MEMBERS_MAX: usize = 64;

/// Operations of one group's history: a few thousand joinings. More are refused; then the group can only go on as it is, or
/// begin anew.
pub const OPERATIONS_MAX: usize = 4096;

/// Places among them kept for removals, locks, revocations and farewells of those who keep the door, so that no flood, of
/// additions or of what counts for nothing, keeps somebody in.
pub const OPERATIONS_RESERVED: usize = 1024;

/// Operations of one member since it was added. More are refused; of removals, locks, revocations and farewells, beyond
/// twice as many.
pub const OPERATIONS_OF_AUTHOR_MAX: usize = 1024;

/// Bytes of one operation: the longest of this version has 700. A longer one is refused.
pub const OPERATION_BYTES_MAX: usize = 1024;

/// Operations that one names as having come just before. More are left out, and come before the next one.
pub const PARENTS_MAX: usize = 16;

/// Routes remembered for one peer. Beyond it the least useful one that is not in use is forgotten.
pub const ROUTES_MAX: usize = 8;

/// Characters of a member's name. Longer names are cut.
pub const NAME_CHARS_MAX: usize = 32;

/// Bytes of one Opus frame. At the 64 kbit/s ceiling a 40 ms frame is 320 bytes; a longer frame from
/// the network is dropped as malformed.
pub const OPUS_FRAME_BYTES_MAX: usize = 400;

/// Bytes of one media packet: quinn carries up to 1166 bytes in a datagram at the fixed MTU of 1200.
/// A longer one is dropped as malformed.
pub const MEDIA_PACKET_BYTES_MAX: usize = 1150;

/// Redundant frames beside the primary one in a media packet. More are dropped as malformed.
pub const REDUNDANT_FRAMES_MAX: usize = 4;

/// Frames a jitter buffer holds. At 10 ms frames this is over a second; beyond it the oldest is dropped.
pub const JITTER_FRAMES_MAX: usize = 128;

/// Bytes of one control message: a welcome to a full group, with the longest names, addresses
/// and relays, has 53 KiB. A
/// longer one closes the connection that sent it.
pub const CONTROL_MESSAGE_BYTES_MAX: usize = 60 * 1024;

/// Addresses by which a member is described to others, of the [`CANDIDATES_MAX`] it may have told.
pub const DESCRIBED_ADDRESSES_MAX: usize = 6;

/// Bytes of one handshake message: the largest is a Noise message with a signed identity. A longer one
/// fails the handshake.
pub const HANDSHAKE_MESSAGE_BYTES_MAX: usize = 1024;

/// Bytes the application may add to its side of a handshake; with them the largest Noise message is 781
/// bytes. Asserted when sending; a longer one from the network fails the handshake.
pub const HANDSHAKE_PAYLOAD_BYTES_MAX: usize = 512;

/// Addresses carried for one member. More are cut.
pub const CANDIDATES_MAX: usize = 16;

/// Tickets a member remembers. Beyond it void ones are forgotten, and then no more of others are learnt; for one of its
/// own another one gives way.
pub const GRANTS_MAX: usize = 64;

/// Characters of a ticket; a longer line is refused as mistyped before it is decoded.
pub const TICKET_CHARS_MAX: usize = 3072;

/// TURN servers in a ticket. More are cut.
pub const TICKET_RELAYS_MAX: usize = 4;

/// Members other than its issuer whom a ticket names. More are cut.
pub const DOORS_MAX: usize = 2;

/// Addresses of each of them in the ticket. More are left out.
pub const DOOR_ADDRESSES_MAX: usize = 4;

/// Bytes of one TURN server's address and credentials, with the relayed address on it, in a ticket or description. A
/// longer one is left out.
pub const TICKET_RELAY_BYTES_MAX: usize = 200;

/// From a connection's first packet to a finished Noise handshake. Later ones are closed.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(3);
