//! What becomes of one packet.

use std::time::Duration;

/// What a link does with a packet offered to it. Times are since the simulation's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives once.
    Arrives {
        /// When its last bit arrives.
        at: Duration,
    },
    /// It arrives twice.
    ArrivesTwice {
        /// When the packet arrives.
        at: Duration,
        /// When its copy does; may be earlier than `at` where the link reorders.
        copy_at: Duration,
    },
    /// It never arrives.
    Dropped {
        /// What took it.
        reason: DropReason,
    },
}

impl Fate {
    /// The times of its arrivals: none, one, or two.
    pub fn arrivals(&self) -> impl Iterator<Item = Duration> + use<> {
        let (first, second) = match *self {
            Fate::Arrives { at } => (Some(at), None),
            Fate::ArrivesTwice { at, copy_at } => (Some(at), Some(copy_at)),
            Fate::Dropped { reason: _ } => (None, None),
        };
        first.into_iter().chain(second)
    }

    /// When the packet itself arrives, not counting a copy.
    pub fn arrival(&self) -> Option<Duration> {
        self.arrivals().next()
    }

    /// What took it, if it never arrives.
    pub fn dropped(&self) -> Option<DropReason> {
        match *self {
            Fate::Dropped { reason } => Some(reason),
            Fate::Arrives { at: _ } | Fate::ArrivesTwice { at: _, copy_at: _ } => None,
        }
    }
}

/// What took a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropReason {
    /// Random or burst loss on the wire.
    Loss,
    /// The queue had no room for it.
    Queue,
    /// It is larger than the MTU.
    Mtu,
    /// It left the queue into an outage.
    Outage,
    /// The delay trace says -1 for it.
    Trace,
}

impl DropReason {
    /// Every reason, in order.
    pub const ALL: [DropReason; 5] =
        [DropReason::Loss, DropReason::Queue, DropReason::Mtu, DropReason::Outage, DropReason::Trace];

    /// One lower-case word, for tables and traces.
    pub fn name(self) -> &'static str {
        match self {
            DropReason::Loss => "loss",
            DropReason::Queue => "queue",
            DropReason::Mtu => "mtu",
            DropReason::Outage => "outage",
            DropReason::Trace => "trace",
        }
    }
}
