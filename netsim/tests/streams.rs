//! TCP between a host and a server, across lines, NATs and firewalls; and the rest of what a machine gives a program.

use netsim::link::LinkConfig;
use netsim::nat::FirewallConfig;
use netsim::servers::TurnConfig;
use netsim::world::{
    HostId, INTERNET, Names, NetworkId, STUN_PORT, Service, SharedWorld, SimPlatform, World,
};
use roundtable::net::platform::{Platform, Stream};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const DELAY: Duration = Duration::from_millis(25);

struct Net {
    world: SharedWorld,
    server: HostId,
    home: NetworkId,
}

/// A host's way to the internet: its line, its NAT and its firewall.
fn net(line: &LinkConfig, kind: Option<&str>, firewall: Option<FirewallConfig>, seed: u64) -> Net {
    let mut world = World::new(DELAY, seed);
    let perfect = LinkConfig::default();
    let server_line = world.add_line(&perfect, &perfect).expect("a line");
    let server = world.add_server(server_line, |ips, seed| {
        Service::turn(ips, &TurnConfig::default(), seed).expect("nobody to be refused")
    });
    let router_line = world.add_line(line, line).expect("a line");
    let nat = kind.map(|kind| netsim::nat::kind(kind).expect("a known kind"));
    let (home, _) = world.add_lan(INTERNET, router_line, nat.as_ref(), firewall.as_ref(), false);
    Net { world: SharedWorld::new(world), server, home }
}

impl Net {
    fn host(&self) -> (HostId, SimPlatform) {
        let mut world = self.world.lock();
        let line = world.add_line(&LinkConfig::default(), &LinkConfig::default()).expect("a line");
        let host = world.add_host(self.home, line);
        drop(world);
        let names = Names::from([("meet".to_owned(), self.server)]);
        (host, SimPlatform::new(&self.world, host, names))
    }

    /// Lets time pass until `work` is done, at most for `limit`; and how long it took.
    fn wait<T>(&self, work: impl Future<Output = T>, limit: Duration) -> Option<(T, Duration)> {
        let mut work = pin!(work);
        let began = self.world.lock().now();
        loop {
            let took = self.world.lock().now() - began;
            if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return Some((done, took));
            }
            if took >= limit {
                return None;
            }
            let mut world = self.world.lock();
            let next = world.next_due().unwrap_or(began + limit).min(began + limit);
            world.advance(next, &mut Vec::new());
        }
    }

    fn connect(&self, platform: &SimPlatform, port: u16) -> (io::Result<Box<dyn Stream>>, Duration) {
        let connecting = async {
            let addresses = platform.resolve("meet", port).await.expect("the name is known");
            let v4 = addresses.into_iter().find(SocketAddr::is_ipv4).expect("it has one");
            platform.connect(v4).await
        };
        self.wait(connecting, Duration::from_secs(300)).expect("it ends")
    }
}

async fn write(stream: &mut Box<dyn Stream>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = std::future::poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, bytes)).await?;
        bytes = &bytes[count..];
    }
    Ok(())
}

async fn read(stream: &mut Box<dyn Stream>, length: usize) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    while all.len() < length {
        let mut buffer = vec![0; length - all.len()];
        let mut buffer = ReadBuf::new(&mut buffer);
        std::future::poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, &mut buffer)).await?;
        if buffer.filled().is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        all.extend(buffer.filled());
    }
    Ok(all)
}

/// A Binding request without attributes (RFC 8489, section 5).
fn request(number: u32) -> Vec<u8> {
    let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0];
    request.extend(number.to_be_bytes());
    request
}

/// A success response with XOR-MAPPED-ADDRESS alone, and a FINGERPRINT or not.
async fn response(stream: &mut Box<dyn Stream>) -> io::Result<u32> {
    let header = read(stream, 20).await?;
    read(stream, usize::from(u16::from_be_bytes([header[2], header[3]]))).await?;
    assert_eq!(header[..2], [1, 1]);
    Ok(u32::from_be_bytes([header[16], header[17], header[18], header[19]]))
}

#[test]
fn a_connection_is_open_after_one_round_trip_and_answers_after_another() {
    for kind in [None, Some("port-restricted"), Some("symmetric-random"), Some("cgnat")] {
        let net = net(&LinkConfig::default(), kind, Some(FirewallConfig::udp_blocked()), 1);
        let (_, platform) = net.host();
        let (stream, took) = net.connect(&platform, STUN_PORT);
        let Some(mut stream) = stream.ok().filter(|_| kind.is_some()) else {
            // A private address that nothing translates is answered nowhere.
            assert!(kind.is_none());
            continue;
        };
        assert_eq!(took, DELAY * 2, "{kind:?}");
        let asking = async {
            write(&mut stream, &request(7)).await?;
            response(&mut stream).await
        };
        let (answer, took) = net.wait(asking, Duration::from_secs(9)).expect("it answers");
        assert_eq!((answer.expect("it stays open"), took), (7, DELAY * 2), "{kind:?}");
    }
}

#[test]
fn on_a_lossy_line_every_answer_comes_once_and_in_order() {
    for seed in 1..=10 {
        let line = LinkConfig { loss_percent: 10.0, delay_ms: 5.0, ..LinkConfig::default() };
        let net = net(&line, Some("port-restricted"), None, seed);
        let (_, platform) = net.host();
        let mut stream = net.connect(&platform, STUN_PORT).0.expect("it gets through");
        let asking = async {
            for number in 0..500 {
                write(&mut stream, &request(number)).await.expect("it stays open");
            }
            for number in 0..500 {
                assert_eq!(response(&mut stream).await.expect("it stays open"), number);
            }
        };
        net.wait(asking, Duration::from_secs(100)).expect("all answers come");
        assert!(net.world.lock().dropped()["lost"] > 5, "seed {seed}");
    }
}

#[test]
fn a_port_that_nobody_listens_on_refuses_and_a_dead_server_is_silent() {
    let net = net(&LinkConfig::default(), Some("port-restricted"), None, 1);
    let (_, platform) = net.host();
    let (refused, took) = net.connect(&platform, 5349);
    assert_eq!((refused.unwrap_err().kind(), took), (io::ErrorKind::ConnectionRefused, DELAY * 2));
    net.world.lock().set_running(net.server, false);
    let (silent, took) = net.connect(&platform, STUN_PORT);
    assert_eq!((silent.unwrap_err().kind(), took.as_secs()), (io::ErrorKind::TimedOut, 127));
}

#[test]
fn a_firewall_lets_connections_out_only_to_its_ports() {
    let net = net(&LinkConfig::default(), Some("port-restricted"), Some(FirewallConfig::tcp_only([443])), 1);
    let (_, platform) = net.host();
    assert!(net.connect(&platform, 443).0.is_ok());
    assert_eq!(net.connect(&platform, STUN_PORT).0.unwrap_err().kind(), io::ErrorKind::TimedOut);
}

#[test]
fn a_restarted_server_knows_no_connection_of_before() {
    let net = net(&LinkConfig::default(), Some("port-restricted"), None, 1);
    let (_, platform) = net.host();
    let mut stream = net.connect(&platform, STUN_PORT).0.expect("it gets through");
    net.world.lock().reboot_server(net.server);
    let asking = async {
        write(&mut stream, &request(1)).await?;
        response(&mut stream).await
    };
    let (broken, took) = net.wait(asking, Duration::from_secs(9)).expect("it is told");
    assert_eq!((broken.unwrap_err().kind(), took), (io::ErrorKind::ConnectionReset, DELAY * 2));
}

#[test]
fn nothing_is_left_of_a_connection_that_its_program_has_let_go_or_that_spoke_nonsense() {
    let net = net(&LinkConfig::default(), Some("port-restricted"), None, 1);
    let (_, platform) = net.host();
    let stream = net.connect(&platform, STUN_PORT).0.expect("it gets through");
    assert_eq!(net.world.lock().stream_ends(), 2);
    drop(stream);
    let mut stream = net.connect(&platform, STUN_PORT).0.expect("it gets through");
    let talking = async {
        write(&mut stream, b"SSH-2.0-client\r\n").await?;
        read(&mut stream, 1).await
    };
    let (answer, _) = net.wait(talking, Duration::from_secs(9)).expect("it is told");
    assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    drop(stream);
    // One that is not yet open.
    drop(
        platform
            .connect("198.18.0.2:1".parse().expect("an address"))
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop())),
    );
    net.wait(std::future::pending::<()>(), Duration::from_secs(5));
    assert_eq!(net.world.lock().stream_ends(), 0);
}

#[test]
fn a_program_is_told_once_of_each_change_of_address() {
    let net = net(&LinkConfig::default(), Some("port-restricted"), None, 1);
    let (host, platform) = net.host();
    let told = || net.wait(platform.changed(), Duration::ZERO).is_some();
    assert!(!told());
    let before = platform.addresses();
    let line = net.world.lock().add_line(&LinkConfig::default(), &LinkConfig::default()).expect("a line");
    net.world.lock().roam(host, net.home, line);
    assert!(told() && !told());
    assert_ne!(platform.addresses(), before);
    net.world.lock().take_woken();
    let mut waiting = platform.changed();
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    net.world.lock().roam(host, net.home, line);
    assert!(net.world.lock().take_woken().contains(&host), "its machine has to run");
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
}

#[test]
fn names_are_the_servers_and_addresses_stand_for_themselves() {
    let net = net(&LinkConfig::default(), None, None, 1);
    let (_, platform) = net.host();
    let resolve = |host: &str| net.wait(platform.resolve(host, 5), Duration::ZERO).expect("at once").0;
    let named = resolve("meet").expect("a known name");
    assert_eq!(named.iter().map(SocketAddr::is_ipv6).collect::<Vec<_>>(), [true, false]);
    assert_eq!(resolve("192.0.2.1").expect("an address"), ["192.0.2.1:5".parse().expect("an address")]);
    assert_eq!(resolve("[2001:db8::1]").expect("an address"), ["[2001:db8::1]:5".parse().expect("one")]);
    assert_eq!(resolve("nowhere").unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn spare_sockets_have_ports_of_their_own() {
    let net = net(&LinkConfig::default(), None, None, 1);
    let (_, platform) = net.host();
    let sockets: Vec<_> = (0..300).map(|_| platform.spare_socket().expect("a free port")).collect();
    let ports: std::collections::BTreeSet<u16> =
        sockets.iter().map(|socket| socket.local_addr().expect("it is bound").port()).collect();
    assert_eq!(ports.len(), 300);
}
