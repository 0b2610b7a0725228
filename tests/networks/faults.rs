//! What happens to networks in the middle of a call, and to networks that allow little.

use super::{
    alone,
    lab::{Home, Lab, Nat},
    member::{Member, SOON},
    quiet::{Harm, Standing},
};
use std::{cell::RefCell, path::Path, thread, time::Duration};

/// A lab with a TURN server, its files' directory, and the turn to use this machine.
fn lab(name: &str, nats: &[Nat]) -> (Lab, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    (Lab::new(name, nats).with_coturn(dir.path()), dir)
}

/// The direct path dies; the relay takes over.
pub(crate) fn cut(lab: &Lab, dir: &Path) -> Harm {
    let (one, other) = (&lab.homes[0], &lab.homes[1]);
    let harm = Standing::new(lab, dir, "direct", &[]).suffer(
        || lab.cut(one, other),
        |call| {
            call.wait_for_path("relayed", Duration::from_secs(3));
            thread::sleep(Duration::from_secs(3));
        },
    );
    lab.restore(one, other);
    harm
}

/// The first home's machine, or its router, is given another address.
pub(crate) fn renumber(lab: &Lab, dir: &Path, what: impl FnOnce(&Home)) -> Harm {
    let call = Standing::new(lab, dir, "direct", &[]);
    call.suffer(|| what(&lab.homes[0]), |_| thread::sleep(Duration::from_secs(5)))
}

#[test]
fn a_direct_path_that_is_cut_is_replaced_by_the_relay_and_taken_up_again() {
    let _machine = alone();
    let (lab, dir) = lab("cut", &[Nat::PortRestricted, Nat::PortRestricted]);
    let (one, other) = (&lab.homes[0], &lab.homes[1]);
    let harm = cut(&lab, dir.path());
    println!("direct path cut: {harm:?}");
    assert!(harm.worst_ms() <= 600, "{harm:?}");
    lab.cut(one, other);
    let back = Standing::new(&lab, dir.path(), "relayed", &[])
        .suffer(|| lab.restore(one, other), |call| call.wait_for_path("direct", Duration::from_secs(40)));
    println!("direct path back: {back:?}");
    assert!(back.worst_ms() <= 100, "{back:?}");
}

#[test]
fn a_turn_server_that_dies_is_not_missed_on_a_direct_path() {
    let _machine = alone();
    let (lab, dir) = lab("dies", &[Nat::PortRestricted, Nat::FullCone]);
    let call = Standing::new(&lab, dir.path(), "direct", &[]);
    let lab = RefCell::new(lab);
    let harm = call.suffer(|| lab.borrow_mut().kill_coturn(), |_| thread::sleep(Duration::from_secs(12)));
    println!("TURN server dead, call direct: {harm:?}");
    assert!(harm.worst_ms() <= 60, "{harm:?}");
}

#[test]
fn of_two_turn_servers_one_may_die_under_a_relayed_call() {
    let _machine = alone();
    let (mut lab, dir) = lab("two", &[Nat::SymmetricRandom, Nat::Open, Nat::SymmetricRandom]);
    let second = lab.start_second_coturn(1, dir.path());
    let turn = format!("turn:ada:secret@{second}:3479");
    let call = Standing::new(&lab, dir.path(), "relayed", &["--turn", &turn]);
    let lab = RefCell::new(lab);
    let harm = call.suffer(|| lab.borrow_mut().kill_coturn(), |_| thread::sleep(Duration::from_secs(5)));
    println!("one of two TURN servers dead, call relayed: {harm:?}");
    assert!(harm.worst_ms() <= 600, "{harm:?}");
}

#[test]
fn a_machine_with_another_address_goes_on_talking() {
    let _machine = alone();
    let (lab, dir) = lab("own", &[Nat::Open, Nat::PortRestricted]);
    let harm = renumber(&lab, dir.path(), |home| lab.renumber(home));
    println!("machine renumbered: {harm:?}");
    assert!(harm.worst_ms() <= 1_500, "{harm:?}");
}

#[test]
fn a_machine_with_another_address_in_its_lan_goes_on_talking() {
    let _machine = alone();
    let (lab, dir) = lab("lease", &[Nat::PortRestricted, Nat::PortRestricted]);
    let harm = renumber(&lab, dir.path(), Home::renumber_host);
    println!("machine renumbered in its LAN: {harm:?}");
    assert!(harm.worst_ms() <= 1_500, "{harm:?}");
}

/// The first home's router is given another address, of which its machine is told nothing.
pub(crate) fn renumber_router(lab: &Lab, dir: &Path) -> Harm {
    let call = Standing::new(lab, dir, "direct", &[]);
    call.suffer(|| lab.renumber(&lab.homes[0]), |_| thread::sleep(Duration::from_secs(10)))
}

#[test]
fn a_machine_whose_router_gets_another_address_goes_on_talking() {
    let _machine = alone();
    let (lab, dir) = lab("dsl", &[Nat::PortRestricted, Nat::PortRestricted]);
    let harm = renumber_router(&lab, dir.path());
    println!("router renumbered: {harm:?}");
    assert!(harm.worst_ms() <= 1_500, "{harm:?}");
}

#[test]
fn relay_only_sends_packets_to_the_server_and_nowhere_else() {
    let _machine = alone();
    let (lab, dir) = lab("only", &[Nat::Open, Nat::PortRestricted, Nat::Open]);
    let call = Standing::new(&lab, dir.path(), "relayed", &["--relay-only"]);
    assert_eq!(lab.strays(&lab.homes[0]), [], "the joiner, on the internet itself");
    assert_eq!(lab.strays(&lab.homes[2]), [], "the host, on the internet itself");
    drop(call);
    // The other side need not ask for it.
    let (host, ticket) = Member::host(lab.homes[2].host(), dir.path(), &["--relay-only"]);
    let joiner = Member::join(lab.homes[1].host(), dir.path(), &ticket, &[]);
    for member in [&host, &joiner] {
        member.wait("connected", |said| said["path"] == "relayed", SOON);
    }
    thread::sleep(Duration::from_secs(5));
    let strays = [&lab.homes[1], &lab.homes[2]].map(|home| lab.strays(home));
    assert_eq!(strays, [[], []], "the joiner was told no address of the host's, nor the host the joiner's");
    assert_eq!([host.kind(), joiner.kind()].map(Option::unwrap_or_default), ["relayed", "relayed"]);
    // The counting counts: the same call with nothing hidden goes astray.
    drop((host, joiner));
    let _open = Standing::new(&lab, dir.path(), "direct", &[]);
    assert_ne!(lab.strays(&lab.homes[0]), []);
}

#[test]
fn where_only_web_traffic_passes_the_relay_is_reached_over_tls() {
    let _machine = alone();
    let (lab, dir) = lab("web", &[Nat::OnlyTls, Nat::PortRestricted]);
    let call = Standing::new(&lab, dir.path(), "relayed", &[]);
    let (at, _) = call.joiner.wait("connected", |_| true, SOON);
    println!("over TLS: connected after {:.2} s", (at - call.joiner.started_us) as f64 / 1e6);
    let harm = call.suffer(|| (), |_| thread::sleep(Duration::from_secs(3)));
    assert!(harm.worst_ms() <= 100, "they hear each other: {harm:?}");
}

#[test]
fn two_routers_that_take_strangers_packets_for_themselves_still_meet_directly() {
    let _machine = alone();
    let (lab, dir) = lab("leaky", &[Nat::Leaky, Nat::Leaky]);
    drop(Standing::new(&lab, dir.path(), "direct", &[]));
}

#[test]
fn two_hosts_behind_one_router_meet_in_their_lan() {
    let _machine = alone();
    let dir = tempfile::tempdir().expect("a directory");
    let lab = Lab::with_hosts("lan", &[(Nat::PortRestricted, 2)]).with_coturn(dir.path());
    let hosts = &lab.homes[0].hosts;
    drop(Standing::between(&hosts[0], &hosts[1], dir.path(), "lan", &[]));
}

#[test]
fn two_closed_routers_without_a_relay_are_opened_by_a_reply_code() {
    let _machine = alone();
    let (lab, dir) = lab("reply", &[Nat::PortRestricted, Nat::PortRestricted]);
    let (mut host, ticket) = Member::host_without_relay(lab.homes[1].host(), dir.path(), &[]);
    let joiner = Member::join(lab.homes[0].host(), dir.path(), &ticket, &["--reply"]);
    let (_, told) = joiner.wait("reply", |_| true, Duration::from_secs(20));
    host.say(&format!("reply {}", told["code"].as_str().expect("the event has a code")));
    let (_, connected) = joiner.wait("connected", |_| true, Duration::from_secs(30));
    assert_eq!(connected["path"], "direct");
}

/// What two muted members on a direct path send, in bit/s of IP packets: the joiner's home and the host's, to
/// everybody (each other, STUN, TURN).
pub(crate) fn idle(lab: &Lab, dir: &Path) -> [f64; 2] {
    const TIME: Duration = Duration::from_secs(30);
    let mut call = Standing::new(lab, dir, "direct", &[]);
    call.host.say("mute");
    call.joiner.say("mute");
    thread::sleep(Duration::from_secs(5));
    let homes = [&lab.homes[0], &lab.homes[1]];
    let before = homes.map(|home| lab.bytes_sent(home));
    thread::sleep(TIME);
    let sent = [0, 1].map(|index| lab.bytes_sent(homes[index]) - before[index]);
    sent.map(|bytes| bytes as f64 * 8.0 / TIME.as_secs_f64())
}

#[test]
fn two_muted_members_keep_their_paths_alive_with_little() {
    let _machine = alone();
    let (lab, dir) = lab("idle", &[Nat::PortRestricted, Nat::PortRestricted]);
    let bits = idle(&lab, dir.path());
    println!("idle: {bits:.0?} bit/s sent");
    // About 1,450; one check more or less makes 50.
    assert!(bits.iter().all(|bits| *bits < 2_000.0), "{bits:?} bit/s");
}
