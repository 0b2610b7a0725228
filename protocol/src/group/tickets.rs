//! By which tickets one comes in.
//!
//! Those for any number of people are known to all members, so that each may honour them. One that is counted only its
//! issuer knows, who decides alone and so cannot let in too many. All of them end with the epoch: whoever was put out
//! may have passed tickets on.

use super::Membership;
use crate::control::Grant;
use crate::id::PeerId;
use crate::invite::{TicketId, TicketSecret};
use crate::limits::GRANTS_MAX;
use crate::noise::RefuseReason;
use std::collections::BTreeMap;

/// The tickets that one member knows.
#[derive(Debug, Default)]
pub struct Tickets {
    tickets: BTreeMap<[u8; 8], Minted>,
}

#[derive(Debug)]
struct Minted {
    grant: Grant,
    /// How many may come in by it; 0 for any number.
    uses: u32,
    /// Minted by ourselves.
    is_own: bool,
}

impl Tickets {
    /// Remembers a ticket that another member minted, valid until `latest` at most, at `now_unix` seconds in the epoch of
    /// this name; one of another epoch too, as that one may be about to begin. What is known stays as it is, and while
    /// [`GRANTS_MAX`] are good no more are taken: nobody can void the tickets of others.
    pub fn learn(&mut self, mut grant: Grant, latest: u64, epoch: u64, now_unix: u64) {
        grant.expiry = grant.expiry.min(latest);
        let is_good = |grant: &Grant| grant.epoch == epoch && grant.expiry > now_unix;
        if self.tickets.contains_key(&*grant.ticket) {
            return;
        }
        if self.tickets.len() >= GRANTS_MAX && is_good(&grant) {
            self.forget_first(|minted| is_good(&minted.grant));
        }
        if self.tickets.len() < GRANTS_MAX {
            self.tickets.insert(*grant.ticket, Minted { grant, uses: 0, is_own: false });
        }
    }

    /// Remembers a ticket of our own. Beyond [`GRANTS_MAX`] another one is forgotten: a void one, else one of somebody
    /// else, else the one that expires first.
    pub fn mint(&mut self, grant: Grant, uses: u32, now_unix: u64) {
        let epoch = grant.epoch;
        if self.tickets.len() >= GRANTS_MAX {
            self.forget_first(|minted| minted.grant.epoch == epoch && minted.grant.expiry > now_unix);
        }
        if self.tickets.len() >= GRANTS_MAX {
            self.forget_first(|minted| minted.is_own);
        }
        if self.tickets.len() >= GRANTS_MAX {
            self.forget_first(|_| false);
        }
        self.tickets.insert(*grant.ticket, Minted { grant, uses, is_own: true });
    }

    /// Of those that need not be kept forgets the one that expires first.
    fn forget_first(&mut self, is_kept: impl Fn(&Minted) -> bool) {
        let others = self.tickets.iter().filter(|(_, minted)| !is_kept(minted));
        if let Some(first) = others.min_by_key(|(_, minted)| minted.grant.expiry).map(|(id, _)| *id) {
            self.tickets.remove(&first);
        }
    }

    /// Those for any number of people in this epoch, for other members.
    pub fn shared(&self, epoch: u64) -> Vec<Grant> {
        let shared = self.tickets.values().filter(|minted| minted.uses == 0 && minted.grant.epoch == epoch);
        shared.map(|minted| minted.grant.clone()).collect()
    }

    /// The ids of all that are good now, and who minted them.
    pub fn valid(&self, membership: &Membership, epoch: u64, now_unix: u64) -> Vec<(TicketId, PeerId)> {
        let ids = self.tickets.iter().map(|(id, minted)| (TicketId(*id), PeerId(*minted.grant.issuer)));
        ids.filter(|(id, _)| self.secret(*id, membership, epoch, now_unix).is_ok()).collect()
    }

    /// The secret of a ticket that opens the door at `now_unix` seconds, in the epoch of this name.
    pub fn secret(
        &self,
        ticket: TicketId,
        membership: &Membership,
        epoch: u64,
        now_unix: u64,
    ) -> Result<TicketSecret, RefuseReason> {
        let Minted { grant, .. } = self.tickets.get(&ticket.0).ok_or(RefuseReason::UnknownTicket)?;
        if membership.is_revoked(ticket, PeerId(*grant.issuer)) || grant.epoch != epoch {
            return Err(RefuseReason::RevokedTicket);
        }
        if grant.expiry <= now_unix {
            return Err(RefuseReason::ExpiredTicket);
        }
        Ok(TicketSecret::from_bytes(*grant.secret))
    }

    /// The secret of a ticket, be it void.
    pub fn known(&self, ticket: TicketId) -> Option<TicketSecret> {
        self.tickets.get(&ticket.0).map(|minted| TicketSecret::from_bytes(*minted.grant.secret))
    }

    /// Whether a ticket is used up by others than `peer`, who may have come in by it before.
    pub fn is_used_up(&self, ticket: TicketId, membership: &Membership, peer: PeerId) -> bool {
        let uses = self.tickets.get(&ticket.0).map_or(0, |minted| minted.uses as usize);
        uses > 0 && membership.uses(ticket, peer) >= uses
    }
}

#[cfg(test)]
mod tests {
    use super::Tickets;
    use crate::control::Grant;
    use crate::group::Membership;
    use crate::id::PeerId;
    use crate::invite::TicketId;
    use crate::limits::GRANTS_MAX;
    use crate::noise::RefuseReason;

    fn grant(n: u64, secret: u8, expiry: u64) -> Grant {
        Grant {
            ticket: n.to_be_bytes().into(),
            secret: [secret; 16].into(),
            expiry,
            issuer: [1; 32].into(),
            epoch: 5,
        }
    }

    fn secret(tickets: &Tickets, n: u64, epoch: u64, now: u64) -> Result<[u8; 16], RefuseReason> {
        let ticket = TicketId(n.to_be_bytes());
        tickets.secret(ticket, &Membership::default(), epoch, now).map(|secret| *secret.as_bytes())
    }

    #[test]
    fn others_can_neither_void_nor_prolong_a_ticket() {
        let mut tickets = Tickets::default();
        tickets.mint(grant(0, 7, 100), 0, 10);
        for n in 0..2 * GRANTS_MAX as u64 {
            tickets.learn(grant(n, 9, u64::MAX), 200, 5, 10);
        }
        assert_eq!(secret(&tickets, 0, 5, 50), Ok([7; 16]));
        assert_eq!(secret(&tickets, 0, 5, 150), Err(RefuseReason::ExpiredTicket));
        assert_eq!(secret(&tickets, 1, 5, 250), Err(RefuseReason::ExpiredTicket));
        assert_eq!(tickets.shared(5).len(), GRANTS_MAX);
    }

    #[test]
    fn what_others_tell_leaves_room_for_ours_and_what_is_void_for_anybodys() {
        let mut tickets = Tickets::default();
        for n in 1..=2 * GRANTS_MAX as u64 {
            tickets.learn(grant(n, 9, u64::MAX), 200, 5, 10);
        }
        tickets.mint(grant(0, 7, 20), 1, 10);
        tickets.mint(grant(1000, 7, 20), 1, 10);
        assert_eq!(secret(&tickets, 0, 5, 15), Ok([7; 16]));
        assert_eq!(secret(&tickets, 1000, 5, 15), Ok([7; 16]));
        // In the next epoch all of these are void.
        let next = Grant { epoch: 6, ..grant(2000, 8, 300) };
        tickets.learn(next, 400, 6, 100);
        assert_eq!(secret(&tickets, 2000, 6, 100), Ok([8; 16]));
        let void = Grant { epoch: 5, ..grant(3000, 8, 300) };
        tickets.learn(void, 400, 6, 100);
        assert_eq!(secret(&tickets, 3000, 6, 100), Err(RefuseReason::UnknownTicket));
    }

    #[test]
    fn a_ticket_ends_with_its_epoch() {
        let mut tickets = Tickets::default();
        tickets.mint(grant(0, 7, 100), 0, 10);
        assert_eq!(secret(&tickets, 0, 6, 50), Err(RefuseReason::RevokedTicket));
        assert!(tickets.shared(6).is_empty());
    }

    #[test]
    fn a_counted_ticket_stays_with_its_issuer_and_is_used_up_by_others() {
        let (mut tickets, mut membership) = (Tickets::default(), Membership::default());
        tickets.mint(grant(0, 7, 100), 1, 10);
        assert!(tickets.shared(5).is_empty());
        let ticket = TicketId(0u64.to_be_bytes());
        let (ada, ben) = (PeerId([8; 32]), PeerId([9; 32]));
        assert!(!tickets.is_used_up(ticket, &membership, ada));
        membership.admitted_by.entry(ticket).or_default().insert(ada);
        assert!(tickets.is_used_up(ticket, &membership, ben));
        assert!(!tickets.is_used_up(ticket, &membership, ada), "the same may come again");
    }

    #[test]
    fn tickets_expire_and_the_table_is_bounded() {
        let mut tickets = Tickets::default();
        for n in 0..=GRANTS_MAX as u64 {
            tickets.mint(grant(n, 7, 1000 + n), 0, 10);
        }
        assert_eq!(secret(&tickets, 0, 5, 10), Err(RefuseReason::UnknownTicket));
        assert_eq!(secret(&tickets, 5, 5, 10), Ok([7; 16]));
        assert_eq!(secret(&tickets, 5, 5, 1006), Err(RefuseReason::ExpiredTicket));
    }
}
