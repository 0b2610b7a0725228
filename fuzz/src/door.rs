//! What comes to the door before anybody is anybody: knocks, answers to challenges, first packets.

use protocol::door::knock::read_knock;
use protocol::door::{Gate, Keys, KnockKey, Name, Strangers, Verdict};
use protocol::invite::{TicketId, TicketSecret};
use protocol::path::Route;
use protocol::stun::TransactionId;
use std::net::SocketAddr;
use std::time::Duration;

const UNIX: u64 = 1_800_000_000;

struct One(KnockKey);

impl Keys for One {
    fn key(&self, name: Name) -> Option<KnockKey> {
        (name == self.0.name()).then(|| self.0.clone())
    }
}

/// The knock that the inputs of [`door`] are changed from.
pub fn example_knock() -> Vec<u8> {
    key().knock(TransactionId([9; 12]), UNIX)
}

fn key() -> KnockKey {
    KnockKey::of_ticket(TicketId([7; 8]), &TicketSecret::from_bytes([1; 16]))
}

/// The input is a list of datagrams: a sender and what is to be done with it, a length, the bytes. Nobody is invited
/// but by a true knock, which counts once, from its own address; and where strangers are ignored they are not heard.
pub fn door(data: &[u8]) {
    let (mut gate, keys) = (Gate::new([1; 32]), One(key()));
    let (mut knocked, mut used) = (Vec::new(), Vec::new());
    let mut now = Duration::from_secs(1000);
    let mut rest = data;
    while let Some((&[what, length], after)) = rest.split_first_chunk::<2>() {
        let (datagram, after) = after.split_at(usize::from(length).min(after.len()));
        rest = after;
        let from = Route::direct(SocketAddr::from(([192, 0, 2, what >> 4], 4700)));
        now += Duration::from_millis(u64::from(what & 3));
        let knock = read_knock(datagram).filter(|knock| knock.name == keys.0.name() && keys.0.made(datagram));
        if let Some(knock) = knock
            && !used.contains(&knock.id)
        {
            used.push(knock.id);
            knocked.push(from);
        }
        let taken = gate.handle(from, datagram, &keys, now, UNIX);
        assert!(taken || knock.is_none(), "a knock was taken for something else");
        let strangers = if what & 4 == 0 { Strangers::Ignored } else { Strangers::Limited };
        match gate.judge(from, datagram, strangers, now) {
            Verdict::Invited => assert!(knocked.contains(&from), "nobody knocked from there"),
            Verdict::Stranger | Verdict::Challenge(_) if strangers == Strangers::Ignored => {
                panic!("a stranger was heard where nobody is")
            }
            Verdict::Challenge(_) | Verdict::Stranger | Verdict::Drop => {}
        }
    }
}
