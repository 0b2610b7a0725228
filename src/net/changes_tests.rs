use super::{Watcher, kernel};
use crate::net::testing::{in_own_network, run};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(100);

async fn is_told_within(watcher: &mut Watcher, patience: Duration) -> bool {
    tokio::time::timeout(patience, watcher.changed()).await.is_ok()
}

fn link(index: u32, flags: u32) -> Vec<u8> {
    let words = [32, 16, 0, 0, 0, index, flags, 0];
    words.iter().flat_map(|word: &u32| word.to_ne_bytes()).collect()
}

#[test]
fn a_pulled_cable_is_news_and_a_wireless_scan_is_not() {
    let mut running = BTreeMap::new();
    assert!(!kernel::read(&link(2, 0x40), &mut running), "it is up, as far as was known");
    assert!(!kernel::read(&link(2, 0x41), &mut running), "its other flags are nobody's concern");
    assert!(kernel::read(&link(2, 0x01), &mut running), "the carrier is gone");
    assert!(kernel::read(&[link(3, 0x40), link(2, 0x40)].concat(), &mut running), "and back");
}

#[test]
fn what_is_no_message_is_passed_over() {
    let mut running = BTreeMap::new();
    for cut in 0..32 {
        let _ = kernel::read(&link(2, 0)[..cut], &mut running);
    }
    assert!(!kernel::read(&[0xff; 64], &mut running) && !kernel::read(&[0; 64], &mut running));
}

#[test]
fn an_address_that_comes_or_goes_is_told_at_once_and_the_rest_is_silence() {
    if !in_own_network(
        "net::changes::tests::an_address_that_comes_or_goes_is_told_at_once_and_the_rest_is_silence",
    ) {
        return;
    }
    run("ip link add out type veth peer name far; ip link set far up");
    run("ip link set out up");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut watcher = Watcher::new();
        while is_told_within(&mut watcher, SOON).await {}
        for change in [
            "ip addr add 198.51.100.7/24 dev out",
            "ip route add default via 198.51.100.1 dev out",
            "ip route replace default via 198.51.100.2 dev out",
            // An address that goes and comes back at once stands for another network with the same addresses.
            "ip addr del 198.51.100.7/24 dev out; ip addr add 198.51.100.7/24 dev out",
            "ip link set out down",
        ] {
            let told = async { (is_told_within(&mut watcher, Duration::from_secs(5)).await, Instant::now()) };
            let changing = tokio::task::spawn_blocking(move || {
                run(change);
                Instant::now()
            });
            let ((is_told, at), changed) = tokio::join!(told, changing);
            let late = at.saturating_duration_since(changed.expect("it ran"));
            assert!(is_told && late < SOON, "{change}: {late:?}");
            assert!(!is_told_within(&mut watcher, SOON).await, "{change} is told once");
        }
        run("ip route add 203.0.113.0/24 dev lo");
        assert!(!is_told_within(&mut watcher, SOON).await, "a route to somewhere");
    });
}
