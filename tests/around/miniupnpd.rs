//! miniupnpd on a home's router: PCP, NAT-PMP and UPnP as many real routers have them.

use super::lab::{Home, Namespace};
use std::{
    fs,
    io::Write,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Where it puts its rules: before and beside those of the router itself.
const TABLE: &str = "table inet filter {
    chain miniupnpd { }
    chain prerouting_miniupnpd { }
    chain postrouting_miniupnpd { }
    chain forward { type filter hook forward priority filter; policy accept; jump miniupnpd; }
    chain prerouting { type nat hook prerouting priority dstnat; policy accept; jump prerouting_miniupnpd; }
    chain postrouting { type nat hook postrouting priority srcnat; policy accept; jump postrouting_miniupnpd; }
}";

/// A running daemon. Killed with its value.
pub(crate) struct Miniupnpd {
    child: Child,
    router: String,
}

impl Miniupnpd {
    /// Starts one with `options` on the router nearest to the host.
    pub(crate) fn start(home: &Home, dir: &Path, options: &str) -> Self {
        let router = &home.routers[0];
        nft(router, TABLE);
        let config = dir.join("miniupnpd.conf");
        let pid = dir.join("miniupnpd.pid");
        let text = format!(
            "ext_ifname=wan\nlistening_ip=lan\nport=5000\nsecure_mode=yes\n\
             uuid=00000000-0000-0000-0000-000000000001\n{options}\n\
             allow 1024-65535 192.168.1.0/24 1024-65535\ndeny 0-65535 0.0.0.0/0 0-65535\n"
        );
        fs::write(&config, text).expect("the test's directory is writable");
        let log = fs::File::create(dir.join("miniupnpd.log")).expect("the test's directory is writable");
        let mut command = Command::new("miniupnpd");
        command.arg("-d").arg("-f").arg(&config).arg("-P").arg(&pid);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file can be had twice")).stderr(log);
        let child = router.inside(|| command.spawn());
        let child = child.expect("miniupnpd is missing: scripts/setup.sh test installs it");
        let daemon = Self { child, router: router.name.clone() };
        let deadline = Instant::now() + Duration::from_secs(10);
        while !daemon.listens() {
            let log = || fs::read_to_string(dir.join("miniupnpd.log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "miniupnpd does not listen; it said:\n{}", log());
            thread::sleep(Duration::from_millis(20));
        }
        daemon
    }

    fn listens(&self) -> bool {
        let sockets =
            Command::new("ip").args(["netns", "exec", &self.router, "cat", "/proc/net/udp"]).output();
        // 1900 (SSDP) or 5351 (PCP), in hexadecimal.
        let sockets = String::from_utf8_lossy(&sockets.expect("`ip` runs").stdout).into_owned();
        sockets.contains(":076C ") || sockets.contains(":14E7 ")
    }

    /// The ports that it lets in.
    pub(crate) fn rules(&self) -> String {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.router, "nft", "list", "chain", "inet", "filter"]);
        let listed = command.arg("prerouting_miniupnpd").output().expect("`nft` runs");
        String::from_utf8_lossy(&listed.stdout).into_owned()
    }
}

impl Drop for Miniupnpd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// More rules for a router.
pub(crate) fn nft(router: &Namespace, rules: &str) {
    let child = router.inside(|| Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn());
    let mut child = child.expect("nft runs");
    child.stdin.take().expect("it is piped").write_all(rules.as_bytes()).expect("nft reads");
    assert!(child.wait().expect("it ends").success(), "nft takes the rules");
}
