//! coturn on a lab's server: STUN and TURN over UDP and TCP on 3478, over TLS on 443.

use super::{certificate::write_certificate, namespace::Namespace};
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Where it listens: UDP and TCP, and TLS.
#[derive(Clone, Copy)]
pub(super) struct Ports {
    pub(super) plain: u16,
    pub(super) tls: u16,
}

/// A running server. Killed with its value.
pub(super) struct Coturn(Child);

impl Coturn {
    /// Starts one that relays from the first address, for the user `ada` with the password `secret`.
    pub(super) fn start(namespace: &Namespace, dir: &Path, addresses: &[Ipv4Addr], ports: Ports) -> Self {
        let path = |name: &str| dir.join(format!("coturn-{}.{name}", ports.plain)).display().to_string();
        let (first, last) = (addresses[0], addresses[addresses.len() - 1]);
        write_certificate(first.into(), path("certificate").as_ref(), path("key").as_ref());
        let listening: String = addresses.iter().map(|ip| format!("listening-ip={ip}\n")).collect();
        let config = format!(
            "{listening}relay-ip={first}\nlistening-port={}\ntls-listening-port={}\ncert={}\npkey={}\n\
             lt-cred-mech\nrealm=roundtable\nuser=ada:secret\n\
             mobility\nno-cli\nno-dtls\nfingerprint\nlog-file={}\nsimple-log\npidfile={}\nuserdb={}\n",
            ports.plain,
            ports.tls,
            path("certificate"),
            path("key"),
            path("log"),
            path("pid"),
            path("users")
        );
        fs::write(path("conf"), config).expect("the test's directory is writable");
        let child = namespace.inside(|| {
            let mut command = Command::new("turnserver");
            command.args(["-c", &path("conf")]).stdin(Stdio::null()).stdout(Stdio::null());
            command
                .stderr(Stdio::null())
                .spawn()
                .expect("coturn is missing: scripts/setup.sh test installs it")
        });
        let coturn = Self(child);
        let deadline = Instant::now() + Duration::from_secs(10);
        let answers = |port| {
            let address = SocketAddr::from((last, port));
            namespace.inside(|| TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok())
        };
        while !(answers(ports.plain) && answers(ports.tls)) {
            let log = || fs::read_to_string(path("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "coturn does not listen; it said:\n{}", log());
            thread::sleep(Duration::from_millis(20));
        }
        coturn
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
