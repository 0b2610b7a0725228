//! The gate by examples, and by whatever may come.

use super::cookie::{ANSWER_BYTES, CHALLENGE_BYTES, answer, challenge, read_answer, read_challenge};
use super::knock::{KNOCK_BYTES, read_knock};
use super::{Buckets, Gate, Keys, KnockKey, Name, Strangers, Verdict};
use crate::id::GroupId;
use crate::invite::{TicketId, TicketSecret};
use crate::noise::EpochSecret;
use crate::path::Route;
use crate::stun::TransactionId;
use proptest::collection::vec;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use std::net::SocketAddr;
use std::time::Duration;

const UNIX: u64 = 1_800_000_000;
const NOW: Duration = Duration::from_secs(1000);

struct One(KnockKey);

impl Keys for One {
    fn key(&self, name: Name) -> Option<KnockKey> {
        (name == self.0.name()).then(|| self.0.clone())
    }
}

fn ticket(secret: u8) -> KnockKey {
    KnockKey::of_ticket(TicketId([7; 8]), &TicketSecret::from_bytes([secret; 16]))
}

fn at(host: u8) -> Route {
    Route::direct(SocketAddr::from(([192, 0, 2, host], 4700)))
}

fn id(n: u8) -> TransactionId {
    TransactionId([n; 12])
}

fn first_packet() -> Vec<u8> {
    let mut packet = vec![0xc3, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8];
    packet.resize(1200, 9);
    packet
}

fn gate() -> Gate {
    Gate::new([1; 32])
}

#[test]
fn a_knock_opens_the_door_for_its_address_and_for_a_while() {
    let (mut gate, keys) = (gate(), One(ticket(1)));
    let judge = |gate: &mut Gate, from, now| gate.judge(from, &first_packet(), Strangers::Ignored, now);
    assert_eq!(judge(&mut gate, at(1), NOW), Verdict::Drop);
    assert!(gate.handle(at(1), &ticket(1).knock(id(1), UNIX), &keys, NOW, UNIX));
    assert_eq!(judge(&mut gate, at(1), NOW), Verdict::Invited);
    assert_eq!(judge(&mut gate, at(2), NOW), Verdict::Drop);
    assert_eq!(judge(&mut gate, at(1), NOW + Duration::from_secs(6)), Verdict::Drop);
}

#[test]
fn a_member_knocks_with_the_secret_of_the_epoch() {
    let key = |epoch| KnockKey::of_member(GroupId([1; 16]), epoch, &EpochSecret::from_bytes([3; 32]));
    let (mut gate, keys) = (gate(), One(key(2)));
    gate.handle(at(1), &key(1).knock(id(1), UNIX), &keys, NOW, UNIX);
    assert_eq!(gate.judge(at(1), &first_packet(), Strangers::Ignored, NOW), Verdict::Drop);
    gate.handle(at(1), &key(2).knock(id(2), UNIX), &keys, NOW, UNIX);
    assert_eq!(gate.judge(at(1), &first_packet(), Strangers::Ignored, NOW), Verdict::Invited);
}

#[test]
fn a_knock_with_another_key_opens_nothing() {
    let (mut gate, keys) = (gate(), One(ticket(1)));
    assert!(gate.handle(at(1), &ticket(2).knock(id(1), UNIX), &keys, NOW, UNIX));
    assert_eq!(gate.judge(at(1), &first_packet(), Strangers::Ignored, NOW), Verdict::Drop);
}

#[test]
fn a_recorded_knock_opens_nothing() {
    let (mut gate, keys) = (gate(), One(ticket(1)));
    let knock = ticket(1).knock(id(1), UNIX);
    gate.handle(at(1), &knock, &keys, NOW, UNIX);
    gate.handle(at(2), &knock, &keys, NOW, UNIX);
    assert_eq!(gate.judge(at(2), &first_packet(), Strangers::Ignored, NOW), Verdict::Drop);
    let later = NOW + Duration::from_secs(60);
    gate.handle(at(1), &knock, &keys, later, UNIX + 60);
    assert_eq!(gate.judge(at(1), &first_packet(), Strangers::Ignored, later), Verdict::Drop);
}

#[test]
fn a_knock_of_another_day_opens_nothing_even_when_it_never_arrived_before() {
    let (mut gate, keys) = (gate(), One(ticket(1)));
    gate.handle(at(1), &ticket(1).knock(id(1), UNIX - 16 * 3600), &keys, NOW, UNIX);
    gate.handle(at(1), &ticket(1).knock(id(2), UNIX + 16 * 3600), &keys, NOW, UNIX);
    assert_eq!(gate.judge(at(1), &first_packet(), Strangers::Ignored, NOW), Verdict::Drop);
}

/// All but the few strangers that come in without a challenge.
fn crowded() -> Gate {
    let mut gate = gate();
    for host in 100..110 {
        gate.judge(at(host), &first_packet(), Strangers::Limited, NOW);
    }
    gate
}

#[test]
fn a_stranger_among_many_is_let_in_once_it_has_shown_where_it_is() {
    let (mut gate, keys) = (crowded(), One(ticket(1)));
    let judge = |gate: &mut Gate, from| gate.judge(from, &first_packet(), Strangers::Limited, NOW);
    let Verdict::Challenge(bytes) = judge(&mut gate, at(1)) else { panic!("no challenge") };
    let (token, cookie) = read_challenge(&bytes).expect("it is a challenge");
    assert_eq!(token, first_packet()[6..18]);
    assert!(gate.handle(at(2), &answer(token, &cookie), &keys, NOW, UNIX));
    assert!(matches!(judge(&mut gate, at(2)), Verdict::Challenge(_)), "the cookie of another address");
    let late = NOW + Duration::from_secs(60);
    gate.handle(at(1), &answer(token, &cookie), &keys, late, UNIX);
    assert!(gate.proof(at(1), late).is_none(), "an old cookie");
    gate.handle(at(1), &answer(token, &cookie), &keys, NOW, UNIX);
    assert_eq!(judge(&mut gate, at(1)), Verdict::Stranger);
}

#[test]
fn whoever_knocks_is_invited_whatever_strangers_do() {
    let (mut gate, keys) = (crowded(), One(ticket(1)));
    for host in 0..=255 {
        gate.judge(at(host), &first_packet(), Strangers::Limited, NOW);
    }
    gate.handle(at(1), &ticket(1).knock(id(1), UNIX), &keys, NOW, UNIX);
    assert_eq!(gate.judge(at(1), &first_packet(), Strangers::Limited, NOW), Verdict::Invited);
}

#[test]
fn one_address_opens_a_few_connections_though_it_answers_challenges() {
    let (mut gate, keys) = (crowded(), One(ticket(1)));
    let mut opened = 0;
    for port in 1..=200 {
        let from = Route::direct(SocketAddr::from(([198, 51, 100, 1], port)));
        if let Verdict::Challenge(bytes) = gate.judge(from, &first_packet(), Strangers::Limited, NOW) {
            let (token, cookie) = read_challenge(&bytes).expect("it is a challenge");
            gate.handle(from, &answer(token, &cookie), &keys, NOW, UNIX);
            let verdict = gate.judge(from, &first_packet(), Strangers::Limited, NOW);
            opened += usize::from(verdict == Verdict::Stranger);
        }
    }
    assert_eq!(opened, 8);
}

#[test]
fn a_flood_from_everywhere_leaves_bounded_tables() {
    let (mut gate, keys) = (gate(), One(ticket(1)));
    for n in 0..50_000u32 {
        let from = Route::direct(SocketAddr::from((n.wrapping_mul(2_654_435_761).to_be_bytes(), 1)));
        gate.judge(from, &first_packet(), Strangers::Limited, NOW);
        if n % 4 == 0 {
            let mut id = [0; 12];
            id[..4].copy_from_slice(&n.to_be_bytes());
            gate.handle(from, &ticket(1).knock(TransactionId(id), UNIX), &keys, NOW, UNIX);
        }
    }
    assert!(gate.challenges_by_address.len() <= 4096 && gate.challenges_by_network.len() <= 4096);
    assert!(gate.open.len() <= 256 && gate.knocks.len() <= 4096);
    assert_eq!(gate.knocks.len(), gate.known_knocks.len());
}

#[test]
fn buckets_empty_and_fill_again() {
    let mut buckets = Buckets::new(2, 1);
    assert_eq!([NOW; 3].map(|now| buckets.take('a', now)), [true, true, false]);
    assert!(buckets.take('b', NOW));
    let later = NOW + Duration::from_secs(1);
    assert_eq!([later; 2].map(|now| buckets.take('a', now)), [true, false]);
}

#[test]
fn networks_are_what_one_party_may_have() {
    let prefixes = |text: &str| {
        let (address, network) = super::gate::prefixes(text.parse().expect("an address"));
        (address.to_string(), network.to_string())
    };
    assert_eq!(prefixes("192.0.2.77"), ("192.0.2.77".into(), "192.0.2.0".into()));
    assert_eq!(prefixes("2001:db8:1:2233:4:5:6:7"), ("2001:db8:1:2233::".into(), "2001:db8:1:2200::".into()));
}

proptest! {
    #[test]
    fn what_is_said_to_strangers_is_shorter_than_what_they_said(token: [u8; 12], cookie: [u8; 16]) {
        prop_assert!(CHALLENGE_BYTES * 10 < 1200);
        prop_assert_eq!(read_challenge(&challenge(token, &cookie)), Some((token, cookie)));
        prop_assert_eq!(read_answer(&answer(token, &cookie)), Some(cookie));
    }

    #[test]
    fn a_knock_survives_the_wire_and_no_changed_byte_does(n: [u8; 12], place in 0..KNOCK_BYTES - 8, flip in 1u8..) {
        // The last eight bytes are the fingerprint, which whoever changes it can make true again.
        let key = ticket(1);
        let mut knock = key.knock(TransactionId(n), UNIX);
        prop_assert_eq!(knock.len(), KNOCK_BYTES);
        let read = read_knock(&knock).expect("a knock");
        prop_assert_eq!((read.name, read.made_at, read.id), (key.name(), UNIX, TransactionId(n)));
        prop_assert!(key.made(&knock));
        knock[place] ^= flip;
        let (mut gate, keys) = (gate(), One(key));
        gate.handle(at(1), &knock, &keys, NOW, UNIX);
        prop_assert_eq!(gate.judge(at(1), &first_packet(), Strangers::Ignored, NOW), Verdict::Drop);
    }

    #[test]
    fn garbage_opens_nothing(bytes in vec(any::<u8>(), 0..1300), length in 0usize..3) {
        let mut bytes = bytes;
        match length {
            0 => bytes.resize(KNOCK_BYTES, 0),
            1 => bytes.resize(ANSWER_BYTES, 0),
            _ => {}
        }
        let (mut gate, keys) = (gate(), One(ticket(1)));
        gate.handle(at(1), &bytes, &keys, NOW, UNIX);
        prop_assert_eq!(gate.judge(at(1), &bytes, Strangers::Ignored, NOW), Verdict::Drop);
        let _ = read_challenge(&bytes);
    }
}
