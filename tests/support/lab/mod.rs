//! A laboratory of network namespaces: homes behind real routers, an internet with real delays, a TURN server.
//!
//! ```text
//! host 192.168.1.x -- router (nftables) 11.0.N.1 --25 ms-- internet --0 ms-- server 11.255.0.1 and .2
//! ```
//! Hosts, routers and the server are Linux network namespaces, and what NATs do is done by nftables and the
//! kernel's connection tracking ([`nat`]). The internet between them is a thread of the test ([`internet`]): it
//! delays, cuts and counts without any of the kernel's queueing disciplines, which many test machines lack. So
//! between two homes it is 50 ms one way, and 25 ms from a home to the server.
//!
//! Needs root, `ip`, `nft` and `/dev/net/tun`, and fails where one of them is missing: skipping would look like
//! passing. Names begin with `rt`, the process's id and `-`; a lab is deleted with its value, and what the lab of
//! a process that was killed left behind is deleted by the next one. All addresses exist in here only.

#[path = "../certificate.rs"]
mod certificate;
mod coturn;
mod home;
mod internet;
mod namespace;
mod nat;
mod tun;

pub(crate) use home::Home;
pub(crate) use namespace::Namespace;
pub(crate) use nat::Nat;

use coturn::{Coturn, Ports};
use internet::{Internet, Line};
use std::{net::Ipv4Addr, path::Path, thread, time::Duration};

/// The server's addresses; two, so that a NAT's mapping can be told.
pub(crate) const SERVERS: [Ipv4Addr; 2] = [Ipv4Addr::new(11, 255, 0, 1), Ipv4Addr::new(11, 255, 0, 2)];

/// From a home to the middle of the internet.
const HOME_DELAY: Duration = Duration::from_millis(25);

/// The laboratory.
pub(crate) struct Lab {
    coturn: Option<Coturn>,
    second: Option<Coturn>,
    internet: Internet,
    pub(crate) homes: Vec<Home>,
    pub(crate) server: Namespace,
}

impl Lab {
    /// Builds one with these homes. `name` tells the labs of one process apart.
    pub(crate) fn new(name: &str, nats: &[Nat]) -> Self {
        Self::with_hosts(name, &nats.iter().map(|nat| (*nat, 1)).collect::<Vec<_>>())
    }

    /// The same, with the number of hosts in each home's LAN.
    pub(crate) fn with_hosts(name: &str, plans: &[(Nat, usize)]) -> Self {
        demand_what_is_needed();
        namespace::sweep();
        let prefix = format!("rt{}-{name}", std::process::id());
        // Each home is worth a dozen calls of `ip`, so they are built beside each other.
        let (server, homes) = thread::scope(|scope| {
            let server = scope.spawn(|| build_server(&prefix));
            let build = |(number, (nat, hosts)): (usize, &(Nat, usize))| {
                let (prefix, nat, hosts) = (&prefix, *nat, *hosts);
                scope.spawn(move || Home::build(prefix, number, nat, hosts))
            };
            let homes: Vec<_> = plans.iter().enumerate().map(build).collect();
            let homes: Vec<_> =
                homes.into_iter().map(|home| home.join().expect("the home is built")).collect();
            (server.join().expect("the server is built"), homes)
        });
        let (server, server_line) = server;
        let (homes, mut lines): (Vec<_>, Vec<_>) = homes.into_iter().unzip();
        lines.push(server_line);
        Self { coturn: None, second: None, internet: Internet::start(lines), homes, server }
    }

    /// Starts coturn on the server, on 3478 (UDP and TCP) and 443 (TLS); its files lie in `dir`.
    pub(crate) fn with_coturn(mut self, dir: &Path) -> Self {
        self.start_coturn(dir);
        self
    }

    /// The same, later.
    pub(crate) fn start_coturn(&mut self, dir: &Path) {
        self.coturn = Some(Coturn::start(&self.server, dir, &SERVERS, Ports { plain: 3478, tls: 443 }));
    }

    /// One more, on the machine of an open home: its address.
    pub(crate) fn start_second_coturn(&mut self, home: usize, dir: &Path) -> Ipv4Addr {
        let address = self.homes[home].outside();
        let place = self.homes[home].host();
        self.second = Some(Coturn::start(place, dir, &[address], Ports { plain: 3479, tls: 444 }));
        address
    }

    /// The TURN server vanishes.
    pub(crate) fn kill_coturn(&mut self) {
        self.coturn = None;
    }

    /// Nothing passes between two homes; what goes to the server does.
    pub(crate) fn cut(&self, one: &Home, other: &Home) {
        self.internet.cut(one.number, other.number);
    }

    /// It does again.
    pub(crate) fn restore(&self, one: &Home, other: &Home) {
        self.internet.restore(one.number, other.number);
    }

    /// A home gets another public address, and the old one leads nowhere.
    pub(crate) fn renumber(&self, home: &Home) {
        let (old, new) = home.renumber();
        self.internet.renumber(home.number, old, new);
    }

    /// Packets that left this home for anything but the server: with their destinations, for the story.
    pub(crate) fn strays(&self, home: &Home) -> Vec<(Ipv4Addr, u64)> {
        let sent = self.internet.sent(home.number);
        let strays = sent.into_iter().filter(|(to, _)| !SERVERS.contains(to));
        strays.map(|(to, tally)| (to, tally.packets)).collect()
    }

    /// Bytes of IP packets that this home sent out so far.
    pub(crate) fn bytes_sent(&self, home: &Home) -> u64 {
        self.internet.sent(home.number).iter().map(|(_, tally)| tally.bytes).sum()
    }
}

/// The server's namespace, and its line to the internet.
fn build_server(prefix: &str) -> (Namespace, Line) {
    let server = Namespace::create(&format!("{prefix}-server"));
    let tun = server.tun("wan");
    let addresses: String = SERVERS.iter().map(|ip| format!("addr add {ip}/32 dev wan\n")).collect();
    server.ip(&format!("{addresses}link set wan up\nroute add default dev wan"));
    let line = Line { tun, delay: Duration::ZERO, addresses: SERVERS.to_vec() };
    (server, line)
}

/// Says at once, and all of it, why there can be no laboratory here.
fn demand_what_is_needed() {
    assert!(
        rustix::process::geteuid().is_root(),
        "network namespaces need root: run this test with sudo, or in a container that may have them"
    );
    for program in ["ip", "nft"] {
        let found = std::process::Command::new(program).arg("-V").output();
        assert!(found.is_ok(), "`{program}` is missing: scripts/setup.sh test installs it");
    }
    assert!(Path::new("/dev/net/tun").exists(), "/dev/net/tun is missing: load the kernel's module `tun`");
}
