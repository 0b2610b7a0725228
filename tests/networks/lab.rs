//! A laboratory of network namespaces: an internet, homes behind real NATs (nftables), and a real TURN server (coturn).
//!
//! ```text
//! host 192.168.X.2 -- router (NAT) 198.18.X.2 -- internet -- server 198.51.100.2 and .3
//! ```
//! Each line to the internet delays by 25 ms in each direction, where the kernel has netem. Needs root; whoever has not
//! got it fails. All names carry the process's id, and everything is deleted at the end.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) const SERVER: &str = "198.51.100.2";
const SERVER_2: &str = "198.51.100.3";

/// A NAT, as RFC 4787 would describe it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nat {
    /// A public address.
    Open,
    /// Endpoint-independent mapping and filtering.
    FullCone,
    /// Endpoint-independent mapping, address-dependent filtering.
    AddressRestricted,
    /// Endpoint-independent mapping, address and port-dependent filtering.
    PortRestricted,
    /// Address and port-dependent mapping, with random ports.
    Symmetric,
    /// Lets no UDP through.
    UdpBlocked,
    /// The same as port-restricted, but the router takes no stranger's packet for itself, as home routers should.
    Closed,
    /// Lets nothing through but TCP to port 443.
    OnlyTls,
}

/// Those of which every pair is tried.
pub(crate) const ALL: [Nat; 6] =
    [Nat::Open, Nat::FullCone, Nat::AddressRestricted, Nat::PortRestricted, Nat::Symmetric, Nat::UdpBlocked];

impl Nat {
    /// The rules of its router; `host` is the one behind it.
    fn rules(self, host: &str) -> String {
        let masquerade = |how| {
            format!(
                "chain post {{ type nat hook postrouting priority 100; oifname \"wan\" masquerade {how}; }}"
            )
        };
        let closed = "chain forward { type filter hook forward priority 0; policy drop; \
            iifname \"lan\" accept; ct state established,related accept; }";
        let to_host = format!(
            "chain pre {{ type nat hook prerouting priority -100; iifname \"wan\" udp dport 1024-65535 dnat to {host}; }}"
        );
        let body = match self {
            Self::Open => return String::new(),
            Self::FullCone => format!("{to_host} {}", masquerade("")),
            Self::AddressRestricted => format!(
                "set seen {{ type ipv4_addr; size 4096; }} {to_host} {} \
                 chain forward {{ type filter hook forward priority 0; policy drop; \
                 iifname \"lan\" add @seen {{ ip daddr }} accept; ip saddr @seen accept; }}",
                masquerade("")
            ),
            Self::PortRestricted => format!("{closed} {}", masquerade("")),
            Self::Symmetric => format!("{closed} {}", masquerade("fully-random")),
            Self::Closed => format!(
                "chain input {{ type filter hook input priority 0; policy drop; iifname \"lan\" accept; \
                 ct state established,related accept; }} {closed} {}",
                masquerade("")
            ),
            Self::OnlyTls => format!(
                "chain blocked {{ type filter hook forward priority -10; iifname \"lan\" tcp dport != 443 drop; \
                 meta l4proto udp drop; }} {closed} {}",
                masquerade("")
            ),
            Self::UdpBlocked => format!(
                "chain blocked {{ type filter hook forward priority -10; meta l4proto udp drop; }} {closed} {}",
                masquerade("")
            ),
        };
        format!("table ip home {{ {body} }}")
    }
}

/// A home, and where programs run in it.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    pub(crate) nat: Nat,
    number: usize,
    /// The namespace of the machine.
    pub(crate) host: String,
}

/// The laboratory.
pub(crate) struct Lab {
    prefix: String,
    internet: String,
    namespaces: Vec<String>,
    pub(crate) homes: Vec<Home>,
    pub(crate) coturn: Option<Child>,
    dir: tempfile::TempDir,
}

impl Lab {
    /// Builds one with these homes. `name` tells labs of one process apart.
    pub(crate) fn new(name: &str, nats: &[Nat]) -> Self {
        let prefix = format!("rt{}{name}", std::process::id());
        let internet = format!("{prefix}i");
        let dir = tempfile::tempdir().expect("a place for the server's files");
        let mut lab = Self { internet, prefix, namespaces: Vec::new(), homes: Vec::new(), coturn: None, dir };
        lab.add_namespace(&lab.internet.clone());
        run(&lab.internet, "sysctl -qw net.ipv4.ip_forward=1");
        let server = format!("{}s", lab.prefix);
        lab.add_namespace(&server);
        lab.link(&server, "eth0", "srv", &format!("{SERVER}/24"), "198.51.100.1/24");
        run(&server, &format!("ip addr add {SERVER_2}/24 dev eth0"));
        for (number, nat) in nats.iter().enumerate() {
            lab.add_home(number, *nat);
        }
        lab.start_server();
        lab
    }

    fn add_namespace(&mut self, name: &str) {
        sh(&format!("ip netns add {name}"));
        self.namespaces.push(name.to_owned());
        run(name, "ip link set lo up");
    }

    /// A line from a namespace to the internet, with a default route.
    fn link(&self, namespace: &str, inner: &str, outer: &str, address: &str, gateway: &str) {
        let internet = &self.internet;
        sh(&format!("ip link add {inner} netns {namespace} type veth peer name {outer} netns {internet}"));
        run(namespace, &format!("ip addr add {address} dev {inner}"));
        run(internet, &format!("ip addr add {gateway} dev {outer}"));
        run(namespace, &format!("ip link set {inner} up"));
        run(internet, &format!("ip link set {outer} up"));
        let gateway = gateway.split('/').next().expect("an address has a beginning");
        run(namespace, &format!("ip route add default via {gateway}"));
    }

    fn add_home(&mut self, number: usize, nat: Nat) {
        let host = format!("{}h{number}", self.prefix);
        self.add_namespace(&host);
        let (public, gateway) = (format!("198.18.{number}.2/24"), format!("198.18.{number}.1/24"));
        let outer = format!("home{number}");
        if nat == Nat::Open {
            self.link(&host, "eth0", &outer, &public, &gateway);
            delay(&host, "eth0");
        } else {
            let router = format!("{}r{number}", self.prefix);
            self.add_namespace(&router);
            run(&router, "sysctl -qw net.ipv4.ip_forward=1");
            self.link(&router, "wan", &outer, &public, &gateway);
            delay(&router, "wan");
            sh(&format!("ip link add eth0 netns {host} type veth peer name lan netns {router}"));
            run(&host, &format!("ip addr add 192.168.{}.2/24 dev eth0", 100 + number));
            run(&router, &format!("ip addr add 192.168.{}.1/24 dev lan", 100 + number));
            run(&host, "ip link set eth0 up");
            run(&router, "ip link set lan up");
            run(&host, &format!("ip route add default via 192.168.{}.1", 100 + number));
            nft(&router, &nat.rules(&format!("192.168.{}.2", 100 + number)));
        }
        delay(&self.internet, &outer);
        self.homes.push(Home { nat, number, host });
    }

    /// Starts coturn on both addresses of the server.
    fn start_server(&mut self) {
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        let config = format!(
            "listening-ip={SERVER}\nlistening-ip={SERVER_2}\nrelay-ip={SERVER}\nlistening-port=3478\n\
             tls-listening-port=443\ncert={}\npkey={}\n\
             lt-cred-mech\nrealm=roundtable\nuser=ada:secret\nmobility\nno-cli\nno-dtls\nfingerprint\n\
             log-file={}\nsimple-log\npidfile={}\nuserdb={}\n",
            path("cert"),
            path("key"),
            path("log"),
            path("pid"),
            path("db")
        );
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
        let certificate =
            rcgen::CertificateParams::new([SERVER.to_owned()]).expect("a name").self_signed(&key);
        let certificate = certificate.expect("a certificate");
        std::fs::write(path("cert"), pem("CERTIFICATE", certificate.der())).expect("the file is written");
        std::fs::write(path("key"), pem("PRIVATE KEY", &key.serialize_der())).expect("the file is written");
        std::fs::write(path("conf"), config).expect("the file is written");
        let server = format!("{}s", self.prefix);
        let mut command = in_namespace(&server, Path::new("turnserver"));
        command.args(["-c", &path("conf")]).stdout(Stdio::null()).stderr(Stdio::null());
        self.coturn = Some(command.spawn().expect("coturn is installed: scripts/setup.sh test installs it"));
        let deadline = Instant::now() + Duration::from_secs(10);
        while !run(&server, "ss -lun").contains(&format!("{SERVER}:3478")) {
            assert!(
                Instant::now() < deadline,
                "coturn does not listen: {}",
                std::fs::read_to_string(path("log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The TURN server vanishes.
    pub(crate) fn kill_server(&mut self) {
        if let Some(mut coturn) = self.coturn.take() {
            let _ = coturn.kill();
            let _ = coturn.wait();
        }
    }

    /// No packet passes between two homes any more; what goes through the server does.
    pub(crate) fn cut(&self, one: &Home, other: &Home) {
        let (a, b) = (one.number, other.number);
        nft(
            &self.internet,
            &format!(
                "table ip cut {{ chain forward {{ type filter hook forward priority 0; \
                 ip saddr 198.18.{a}.0/24 ip daddr 198.18.{b}.0/24 drop; \
                 ip saddr 198.18.{b}.0/24 ip daddr 198.18.{a}.0/24 drop; }} }}"
            ),
        );
    }

    /// They do again.
    pub(crate) fn restore(&self) {
        run(&self.internet, "nft delete table ip cut");
    }

    /// Counts packets between two homes from now on.
    pub(crate) fn count(&self, one: &Home, other: &Home) {
        let (a, b) = (one.number, other.number);
        nft(
            &self.internet,
            &format!(
                "table ip watch {{ chain forward {{ type filter hook forward priority -5; \
                 ip saddr 198.18.{a}.0/24 ip daddr 198.18.{b}.0/24 counter; \
                 ip saddr 198.18.{b}.0/24 ip daddr 198.18.{a}.0/24 counter; }} }}"
            ),
        );
    }

    /// How many there were.
    pub(crate) fn counted(&self) -> u64 {
        let listed = run(&self.internet, "nft list table ip watch");
        let numbers =
            listed.split("packets ").skip(1).filter_map(|rest| rest.split(' ').next()?.parse::<u64>().ok());
        numbers.sum()
    }

    /// An open home's machine gets another address.
    pub(crate) fn renumber(&self, home: &Home) {
        let number = home.number;
        run(&home.host, &format!("ip addr add 198.18.{number}.77/24 dev eth0"));
        run(&home.host, &format!("ip addr del 198.18.{number}.2/24 dev eth0"));
        // With the first address its subnet's other ones go as well.
        run(&home.host, &format!("ip addr add 198.18.{number}.77/24 dev eth0 2>/dev/null || true"));
        run(&home.host, &format!("ip route replace default via 198.18.{number}.1"));
        assert!(run(&home.host, "ip addr show eth0").contains(".77/"), "it has the new address");
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.kill_server();
        for namespace in &self.namespaces {
            let _ = Command::new("ip").args(["netns", "del", namespace]).status();
        }
    }
}

fn pem(what: &str, der: &[u8]) -> String {
    let text = data_encoding::BASE64.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| str::from_utf8(line).expect("base64")).collect();
    format!("-----BEGIN {what}-----\n{}\n-----END {what}-----\n", lines.join("\n"))
}

/// A command to be run in a namespace.
pub(crate) fn in_namespace(namespace: &str, program: &Path) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(program);
    command
}

fn run(namespace: &str, command: &str) -> String {
    sh(&format!("ip netns exec {namespace} sh -c '{}'", command.replace('\'', "'\\''")))
}

fn nft(namespace: &str, rules: &str) {
    if !rules.is_empty() {
        // nft wants each chain, and the table's end, on a line of its own.
        let body = rules.strip_suffix(" }").expect("a table ends with a brace");
        let lines = format!("{}\n}}", body.replace(" chain ", "\nchain "));
        run(namespace, &format!("printf %s '{lines}' | nft -f -"));
    }
}

/// 25 ms for whatever leaves here; without netem there is no delay, which is said once.
fn delay(namespace: &str, device: &str) {
    let command =
        format!("ip netns exec {namespace} tc qdisc add dev {device} root netem delay 25ms limit 10000");
    let set = Command::new("sh").args(["-c", &command]).stderr(Stdio::null()).status();
    if !set.is_ok_and(|status| status.success()) {
        static TOLD: std::sync::Once = std::sync::Once::new();
        TOLD.call_once(|| println!("this kernel has no netem: the networks have no delay"));
    }
}

fn sh(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().expect("a shell");
    assert!(
        output.status.success(),
        "{command}\n{}(network namespaces need root)",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
