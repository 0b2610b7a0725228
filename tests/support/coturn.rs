//! A coturn of the test's own, in the foreground, with its files in a folder of its own; it ends with its owner.
//!
//! ```ignore
//! let server = Coturn::new().user("ada", "secret").start();
//! let server = Coturn::new().secret("shared").netns(Some("turn")).listen(address).start();
//! ```
//!
//! Unless told otherwise it listens on a free port of 127.0.0.1 and allows peers there. In a network namespace the
//! port is 3478, as all ports are free there. Started means listening: it is read off coturn's own log, as a test
//! outside of the namespace could not ask.
//!
//! A server that does not start fails the test: skipping would look like passing.

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const START_PATIENCE: Duration = Duration::from_secs(15);
/// Between choosing a port and binding it another process may take it.
const ATTEMPTS: usize = 5;
/// TURN's own port (RFC 8656 section 2.1).
const PORT: u16 = 3478;

/// What to start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Coturn {
    realm: Option<String>,
    users: Vec<(String, String)>,
    secret: Option<String>,
    netns: Option<String>,
    listen: Vec<IpAddr>,
    port: Option<u16>,
    tls: Option<(PathBuf, PathBuf, u16)>,
    config: Option<String>,
    options: Vec<String>,
}

impl Coturn {
    /// A server with nobody to let in yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The realm (default: `example.org`).
    pub(crate) fn realm(mut self, realm: &str) -> Self {
        self.realm = Some(realm.into());
        self
    }

    /// Lets somebody in by a password for good (`lt-cred-mech`).
    pub(crate) fn user(mut self, name: &str, password: &str) -> Self {
        self.users.push((name.into(), password.into()));
        self
    }

    /// Lets in who has credentials made with this secret (`use-auth-secret`).
    pub(crate) fn secret(mut self, secret: &str) -> Self {
        self.secret = Some(secret.into());
        self
    }

    /// Starts it within a network namespace of `ip netns`; needs root.
    pub(crate) fn netns(mut self, name: Option<&str>) -> Self {
        self.netns = name.map(str::to_owned);
        self
    }

    /// One more address to listen on and to relay from.
    pub(crate) fn listen(mut self, address: IpAddr) -> Self {
        self.listen.push(address);
        self
    }

    /// A certain port instead of a free one.
    pub(crate) fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Also TLS on `port`, with this certificate and key, both PEM files.
    pub(crate) fn tls(mut self, certificate: &Path, key: &Path, port: u16) -> Self {
        self.tls = Some((certificate.into(), key.into(), port));
        self
    }

    /// Reads this configuration file; of the options here only those that were asked for are added.
    pub(crate) fn config(mut self, text: &str) -> Self {
        self.config = Some(text.into());
        self
    }

    /// One more option of `turnserver`, as in `--user-quota=1`.
    pub(crate) fn option(mut self, option: &str) -> Self {
        self.options.push(option.into());
        self
    }

    /// Starts it and waits until it listens.
    pub(crate) fn start(&self) -> CoturnServer {
        let mut log = String::new();
        for _ in 0..ATTEMPTS {
            match self.try_start() {
                Ok(server) => return server,
                Err(said) => log = said,
            }
            // A port that was asked for does not become another.
            if self.port.is_some() || self.netns.is_some() {
                break;
            }
        }
        panic!("coturn did not start; it said:\n{log}");
    }

    fn try_start(&self) -> Result<CoturnServer, String> {
        let folder = tempfile::Builder::new().prefix("rt-coturn").tempdir().expect("a temporary folder");
        let listen =
            if self.listen.is_empty() { vec![Ipv4Addr::LOCALHOST.into()] } else { self.listen.clone() };
        let port = match (self.port, &self.netns) {
            (Some(port), _) => port,
            (None, Some(_)) => PORT,
            (None, None) => free_port(listen[0]),
        };
        let log = folder.path().join("log");
        let mut command = self.command(folder.path(), &listen, port);
        let file = File::create(&log).expect("the folder is writable");
        let errors = file.try_clone().expect("a file handle can be copied");
        command.stdin(Stdio::null()).stdout(file).stderr(errors).current_dir(folder.path());
        let child = command.spawn().expect("`turnserver` (package coturn) must be installed for this test");
        let addresses: Vec<SocketAddr> = listen.iter().map(|&ip| SocketAddr::new(ip, port)).collect();
        let mut server = CoturnServer { child, addresses, log, folder, asked: self.clone() };
        server.wait_until_it_listens()?;
        Ok(server)
    }

    fn command(&self, folder: &Path, listen: &[IpAddr], port: u16) -> Command {
        let mut command = match &self.netns {
            None => Command::new("turnserver"),
            Some(name) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", name, "turnserver"]);
                command
            }
        };
        match &self.config {
            None => {
                command.args(["-n", "--fingerprint"]);
                command.arg(format!("--realm={}", self.realm.as_deref().unwrap_or("example.org")));
                command.arg("--allow-loopback-peers");
            }
            Some(text) => {
                let file = folder.join("turnserver.conf");
                fs::write(&file, text).expect("the folder is writable");
                command.arg("-c").arg(file);
            }
        }
        // Verbose, as only then it says that it listens.
        command.args(["--verbose", "--no-cli", "--no-dtls", "--log-file=stdout", "--simple-log"]);
        command.arg(format!("--pidfile={}", folder.join("pid").display()));
        command.arg(format!("--userdb={}", folder.join("users").display()));
        command.arg(format!("--listening-port={port}"));
        for ip in listen {
            command.arg(format!("--listening-ip={ip}"));
        }
        match &self.tls {
            None => command.arg("--no-tls"),
            Some((certificate, key, port)) => command
                .arg(format!("--tls-listening-port={port}"))
                .arg(format!("--cert={}", certificate.display()))
                .arg(format!("--pkey={}", key.display())),
        };
        if !self.users.is_empty() {
            command.arg("--lt-cred-mech");
        }
        for (name, password) in &self.users {
            command.arg(format!("--user={name}:{password}"));
        }
        if let Some(secret) = &self.secret {
            command.arg("--use-auth-secret").arg(format!("--static-auth-secret={secret}"));
        }
        command.args(&self.options);
        command
    }
}

/// A coturn that runs.
pub(crate) struct CoturnServer {
    child: Child,
    addresses: Vec<SocketAddr>,
    log: PathBuf,
    folder: TempDir,
    asked: Coturn,
}

impl CoturnServer {
    /// Where it answers over UDP and TCP, on the first address that it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Where it answers over TLS, if it does.
    pub(crate) fn tls_address(&self) -> Option<SocketAddr> {
        self.asked.tls.as_ref().map(|(_, _, port)| SocketAddr::new(self.address().ip(), *port))
    }

    /// What it said so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its death, without warning: no goodbye to its clients.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Kills it and starts it anew where it was, remembering nobody.
    pub(crate) fn restart(mut self) -> Self {
        self.kill();
        let asked = self.asked.clone().port(self.address().port());
        drop(self);
        asked.start()
    }

    fn wait_until_it_listens(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            let log = self.log();
            if self.listens(&log) {
                return Ok(());
            }
            let ended = self.child.try_wait().expect("the server can be waited for");
            if ended.is_some() || Instant::now() > deadline || log.contains("Cannot bind") {
                return Err(log);
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn listens(&self, log: &str) -> bool {
        let lines_end = |what: &str, address: String| {
            log.lines().any(|line| line.contains(what) && line.ends_with(&format!(": {address}")))
        };
        let plain = |address: &SocketAddr| format!("{}:{}", address.ip(), address.port());
        // The last thing that it says before it is ready, for threads that check passwords.
        log.contains("IO method (auth thread)")
            && self.addresses.iter().all(|address| {
                let opened = |kind: &str| lines_end(&format!("{kind} listener opened on"), plain(address));
                let without = |option: &str| self.asked.options.iter().any(|asked| asked == option);
                (opened("UDP") || without("--no-udp")) && (opened("TCP") || without("--no-tcp"))
            })
            && self
                .tls_address()
                .is_none_or(|address| lines_end("TLS/TCP listener opened on", plain(&address)))
    }
}

impl Drop for CoturnServer {
    fn drop(&mut self) {
        self.kill();
        // A failing test shows what the server thought of it.
        if thread::panicking() {
            eprintln!("--- coturn in {} said:\n{}", self.folder.path().display(), self.log());
        }
    }
}

/// A port that is free for UDP and TCP on this address, at least now.
pub(crate) fn free_port(ip: IpAddr) -> u16 {
    for _ in 0..100 {
        let udp = UdpSocket::bind((ip, 0)).expect("a free UDP port");
        let port = udp.local_addr().expect("it is bound").port();
        if TcpListener::bind((ip, port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free for UDP and TCP on {ip}");
}
