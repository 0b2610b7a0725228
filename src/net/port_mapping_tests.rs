use super::{PortMapping, Protocol, State, Unavailable, believe};
use crate::net::testing::{in_own_network, run};
use std::num::NonZeroU16;
use std::process::{Child, Command};
use std::time::Duration;

/// A router in a network namespace of its own; ends with the test.
struct Router {
    holder: Child,
    daemon: Option<Child>,
}

impl Router {
    fn start() -> Self {
        let holder =
            Command::new("unshare").args(["--net", "sleep", "60"]).spawn().expect("it started before");
        let pid = holder.id();
        std::thread::sleep(Duration::from_millis(200));
        run(&format!(
            "ip link add eth0 type veth peer name lan netns {pid} && ip link set eth0 up \
             && ip addr add 192.168.9.2/24 dev eth0 \
             && nsenter -t {pid} -n sh -c 'ip link set lo up; ip link set lan up; ip addr add 192.168.9.1/24 dev lan; \
             ip link add wan type veth peer name far; ip link set far up; ip link set wan up; \
             ip addr add 20.0.0.1/24 dev wan' \
             && ip route add default via 192.168.9.1"
        ));
        Self { holder, daemon: None }
    }

    fn offer(&mut self, options: &str) {
        let file = config_file();
        let config = format!(
            "ext_ifname=wan\nlistening_ip=lan\next_ip=20.0.0.1\nsecure_mode=yes\nport=5000\n\
             uuid=00000000-0000-0000-0000-000000000001\n{options}\n\
             allow 1024-65535 192.168.9.0/24 1024-65535\n"
        );
        std::fs::write(&file, config).expect("a place for temporary files");
        let pid = self.holder.id().to_string();
        run(&format!(
            "nsenter -t {pid} -n nft 'add table inet filter; add chain inet filter miniupnpd; \
             add chain inet filter prerouting_miniupnpd; add chain inet filter postrouting_miniupnpd'"
        ));
        let started = Command::new("nsenter")
            .args(["-t", &pid, "-n", "miniupnpd", "-d", "-f", &file, "-P", &format!("{file}.pid")])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn();
        self.daemon = Some(started.expect("miniupnpd is missing: scripts/setup.sh test installs it"));
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn config_file() -> String {
    let name = format!("roundtable-miniupnpd-{}.conf", std::process::id());
    std::env::temp_dir().join(name).display().to_string()
}

impl Drop for Router {
    fn drop(&mut self) {
        for file in [config_file(), config_file() + ".pid"] {
            let _ = std::fs::remove_file(file);
        }
        for child in self.daemon.iter_mut().chain([&mut self.holder]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What a wish for port 4700 comes to, and the rules of the router meanwhile and afterwards.
fn outcome(router: &Router) -> (State, String, String) {
    let rules = || {
        let pid = router.holder.id().to_string();
        let output = Command::new("nsenter").args(["-t", &pid, "-n", "nft", "list", "ruleset"]).output();
        String::from_utf8_lossy(&output.expect("nft").stdout).into_owned()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut mapping = PortMapping::start(NonZeroU16::MIN.saturating_add(4699));
        let settled = mapping.state.wait_for(|state| *state != State::Asking);
        let state = tokio::time::timeout(Duration::from_secs(20), settled)
            .await
            .expect("an outcome")
            .expect("it goes on asking")
            .clone();
        let during = rules();
        mapping.close().await;
        (state, during, rules())
    })
}

fn maps_by(test: &str, options: &str, expected: Protocol) {
    if !in_own_network(test) {
        return;
    }
    let mut router = Router::start();
    router.offer(options);
    let (state, during, after) = outcome(&router);
    let State::Mapped { external, by } = state else { panic!("{state:?}\n{during}") };
    assert_eq!((external.to_string(), by), ("20.0.0.1:4700".into(), expected));
    assert!(during.contains("4700"), "{during}");
    assert!(!after.contains("4700"), "{after}");
}

#[test]
fn a_router_with_pcp_forwards_a_port_until_it_is_given_back() {
    let name = "net::port_mapping::tests::a_router_with_pcp_forwards_a_port_until_it_is_given_back";
    maps_by(name, "enable_natpmp=yes\nenable_upnp=no", Protocol::Pcp);
}

#[test]
fn a_router_with_upnp_alone_forwards_a_port_until_it_is_given_back() {
    let name = "net::port_mapping::tests::a_router_with_upnp_alone_forwards_a_port_until_it_is_given_back";
    maps_by(name, "enable_natpmp=no\nenable_upnp=yes", Protocol::Upnp);
}

#[test]
fn a_router_that_offers_nothing_is_found_out_within_seconds() {
    let name = "net::port_mapping::tests::a_router_that_offers_nothing_is_found_out_within_seconds";
    if !in_own_network(name) {
        return;
    }
    let router = Router::start();
    assert_eq!(outcome(&router).0, State::Unavailable(Unavailable::NoAnswer));
}

#[test]
fn a_router_that_lies_or_is_behind_another_is_not_believed() {
    let outcome = |text: &str| believe(text.parse().unwrap());
    let lies = ["20.0.0.1:0", "127.0.0.1:4700", "0.1.2.3:4700", "224.0.0.1:4700", "[::1]:4700"];
    for lie in lies.iter().chain(&["255.255.255.255:4700"]) {
        assert!(matches!(outcome(lie), Err(Unavailable::Nonsense(_))), "{lie}");
    }
    for inner in ["192.168.0.2:4700", "10.0.0.1:4700", "100.64.0.1:4700", "100.127.255.255:4700"] {
        assert!(matches!(outcome(inner), Err(Unavailable::BehindAnother(_))), "{inner}");
    }
    assert_eq!(outcome("0.0.0.0:4700"), Err(Unavailable::NoPublicAddress));
    assert_eq!(outcome("100.128.0.1:4700"), Ok(()));
    assert_eq!(outcome("20.0.0.1:4700"), Ok(()));
}
