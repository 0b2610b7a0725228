//! The queue and the transmitter behind it.
//!
//! First in, first out, so a packet's departure is known when it is taken in: what comes later cannot delay it. A packet
//! counts towards the queue until it has left, the one being sent included: the most a full queue delays is its bytes
//! divided by the rate. The transmitter waits for a stall to end, sends at its rate, then waits for a grant, then for
//! an opportunity; a stall does not interrupt a packet that is being sent.

use std::collections::VecDeque;

use rand_chacha::ChaCha8Rng;

use super::cross_traffic::{CrossFlow, PACKET_BYTES};
use super::slots::Slots;
use super::stalls::StallProcess;

/// The queue of a link that is given none: a router's memory, not a model of anything.
pub(super) const QUEUE_BYTES_DEFAULT: usize = 1 << 20;

#[derive(Clone, Debug)]
pub(super) struct Bottleneck {
    /// Departure and size of what waits, in order.
    waiting: VecDeque<(u64, usize)>,
    queued_bytes: usize,
    /// When the transmitter has sent what it has.
    free_at: u64,
    last_departure: u64,
    stall_draws: ChaCha8Rng,

    pub(super) queue_limit: usize,
    /// 0 is no limit.
    pub(super) ns_per_byte: f64,
    pub(super) stalls: Option<StallProcess>,
    pub(super) grants: Option<GrantSlots>,
    pub(super) opportunities: Option<Slots>,
    pub(super) cross: Option<CrossFlow>,
}

/// Grants serve what has asked long enough before.
#[derive(Clone, Debug)]
pub(super) struct GrantSlots {
    pub(super) request: u64,
    pub(super) slots: Slots,
}

impl Bottleneck {
    pub(super) fn new(stall_draws: ChaCha8Rng) -> Self {
        Bottleneck {
            waiting: VecDeque::new(),
            queued_bytes: 0,
            free_at: 0,
            last_departure: 0,
            stall_draws,
            queue_limit: QUEUE_BYTES_DEFAULT,
            ns_per_byte: 0.0,
            stalls: None,
            grants: None,
            opportunities: None,
            cross: None,
        }
    }

    /// Replaces the stalls from `now` on.
    pub(super) fn set_stalls(&mut self, stalls: Option<&super::Stalls>, now: u64) {
        self.stalls = stalls.map(|stalls| StallProcess::new(stalls, now, &mut self.stall_draws));
    }

    /// Lets everything happen that happens until `now`: the other flow sends, packets leave.
    pub(super) fn advance(&mut self, now: u64) {
        while let Some(at) = self.cross.as_ref().map(CrossFlow::next_event)
            && at <= now
        {
            self.depart(at);
            let packets = self.cross.as_mut().map_or(0, |cross| cross.poll_packets(at));
            for _ in 0..packets {
                let departure = self.take(at, PACKET_BYTES);
                if let Some(cross) = &mut self.cross {
                    cross.on_sent(at, departure);
                }
            }
        }
        self.depart(now);
    }

    /// When a packet offered at `now`, to which it has been advanced, leaves; `None` if the queue has no room.
    pub(super) fn take(&mut self, now: u64, bytes: usize) -> Option<u64> {
        if self.queued_bytes + bytes > self.queue_limit {
            return None;
        }
        let mut start = now.max(self.free_at);
        if let Some(stalls) = &mut self.stalls {
            start = stalls.release(start, &mut self.stall_draws);
        }
        self.free_at = start + (bytes as f64 * self.ns_per_byte).round() as u64;
        let mut departure = self.free_at;
        if let Some(grants) = &mut self.grants {
            departure = grants.slots.take(departure + grants.request, bytes);
        }
        if let Some(opportunities) = &mut self.opportunities {
            departure = opportunities.take(departure, bytes);
        }
        // What was slower before a change still goes first.
        departure = departure.max(self.last_departure);
        self.last_departure = departure;
        if departure > now {
            self.waiting.push_back((departure, bytes));
            self.queued_bytes += bytes;
        }
        Some(departure)
    }

    pub(super) fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    fn depart(&mut self, now: u64) {
        while let Some(&(departure, bytes)) = self.waiting.front()
            && departure <= now
        {
            self.waiting.pop_front();
            self.queued_bytes -= bytes;
        }
    }
}
