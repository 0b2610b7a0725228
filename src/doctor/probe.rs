//! Questions that only the doctor asks: each STUN server by itself, whether the router sends our packets back to us
//! (hairpinning), what it forwards, and what time it is elsewhere.

use crate::net::platform::Platform;
use crate::net::port_mapping::{PortMapping, State};
use crate::net::random;
use crate::net::udp::{SystemUdp, Udp};
use protocol::ice::{Mapping, NatReport, Observation, classify};
use protocol::reflexive::{Discovery, Event};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, timeout, timeout_at};

/// Long enough for three requests to a server on the other side of the world.
const STUN_PATIENCE: Duration = Duration::from_millis(2500);

/// PCP, NAT-PMP and UPnP have had their say by then.
const MAPPING_PATIENCE: Duration = Duration::from_secs(6);

/// The answer of a time server further away says little.
const CLOCK_PATIENCE: Duration = Duration::from_millis(1500);

/// Packets to ourselves, one every 150 ms.
const HAIRPIN_TRIES: u32 = 3;

/// Public time servers of two operators. They learn our address and that it asked.
const CLOCKS: [&str; 2] = ["time.cloudflare.com", "pool.ntp.org"];
const CLOCK_PORT: u16 = 123;

/// From 1900, where NTP begins, to 1970 (RFC 4330, section 3).
const NTP_TO_UNIX_SECONDS: i64 = 2_208_988_800;

/// Servers asked. Who names more wants to know something else.
const SERVERS_MAX: usize = 16;

/// An address family, and with it a NAT or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// How a STUN server took it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Its name leads nowhere.
    NoAddress,
    /// Nothing came back.
    Silent,
    /// It named an address that nobody can have.
    Lied,
    /// It sees us.
    Seen {
        /// Where.
        mapped: SocketAddr,
        /// How long the answer took.
        round_trip: Duration,
    },
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Probed {
    /// Each server, by the name it was given by; twice when it has addresses of both families.
    pub stun: Vec<(String, Answer)>,
    /// The NAT in front of each address family that got an answer.
    pub nats: Vec<(Family, Mapping)>,
    /// Whether a packet to our own outside address comes back; nothing where there is no NAT or no answer.
    pub hairpin: Option<bool>,
    /// Whether the router forwards a port; nothing when it was not asked.
    pub mapping: Option<State>,
    /// By how many seconds our clock is ahead of another one; nothing when none answered or none was asked.
    pub clock_ahead: Option<f64>,
}

impl Probed {
    /// The NAT in front of IPv4.
    pub fn nat_v4(&self) -> Option<Mapping> {
        self.nats.iter().find(|(family, _)| *family == Family::V4).map(|(_, mapping)| *mapping)
    }
}

/// Asks everything at once. `outside`: whether time servers may be asked, `router`: whether the router may.
pub async fn probe(
    servers: &[(String, u16)],
    platform: &dyn Platform,
    outside: bool,
    router: bool,
) -> io::Result<Probed> {
    let udp = SystemUdp::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)))?;
    let port = NonZeroU16::new(udp.local_addr()?.port()).filter(|_| router);
    let clock = async { if outside { clock_ahead(platform).await } else { None } };
    let (mut probed, mapping, clock_ahead) =
        tokio::join!(ask_stun(servers, platform, &udp), ask_router(port), clock);
    (probed.mapping, probed.clock_ahead) = (mapping, clock_ahead);
    Ok(probed)
}

async fn ask_router(port: Option<NonZeroU16>) -> Option<State> {
    let mut mapping = PortMapping::start(port?);
    let settled = timeout(MAPPING_PATIENCE, mapping.state.wait_for(|state| *state != State::Asking)).await;
    let state = settled.ok().and_then(Result::ok).map(|state| state.clone());
    mapping.close().await;
    state
}

/// A server, until it has answered or had its time.
struct Asked {
    name: String,
    address: SocketAddr,
    /// One for each, which tells of each answer; together they would tell of the first.
    discovery: Discovery,
    seen: Option<(SocketAddr, Duration)>,
    /// What a server with two addresses told by itself.
    nat: NatReport,
}

impl Asked {
    fn answer(&self) -> Answer {
        match self.seen {
            Some((mapped, round_trip)) => Answer::Seen { mapped, round_trip },
            None if self.discovery.lies() > 0 => Answer::Lied,
            None => Answer::Silent,
        }
    }
}

async fn ask_stun(servers: &[(String, u16)], platform: &dyn Platform, udp: &SystemUdp) -> Probed {
    let (mut stun, mut asked) = (Vec::new(), Vec::new());
    let own = platform.addresses();
    let zero = Instant::now();
    for (host, port) in servers {
        let name = format!("{host}:{port}");
        let resolved = timeout(STUN_PATIENCE, platform.resolve(host, *port)).await;
        let addresses = resolved.ok().and_then(Result::ok).unwrap_or_default();
        if addresses.is_empty() {
            stun.push((name.clone(), Answer::NoAddress));
        }
        for family in [true, false] {
            let Some(address) = addresses.iter().copied().find(|one| one.is_ipv4() == family) else {
                continue;
            };
            let discovery = Discovery::new(vec![address], own.clone(), random::bytes(), zero.elapsed());
            let nat = NatReport::default();
            asked.push(Asked { name: name.clone(), address, discovery, seen: None, nat });
        }
    }
    asked.truncate(SERVERS_MAX);
    let mut hairpin = Hairpin::default();
    let mut buffer = [0; 1500];
    let end = Instant::now() + STUN_PATIENCE;
    while Instant::now() < end && !(asked.iter().all(|one| one.discovery.is_settled()) && hairpin.is_over()) {
        let now = zero.elapsed();
        for one in &mut asked {
            one.discovery.handle_timeout(now);
            while let Some((server, request)) = one.discovery.poll_transmit() {
                // One that cannot be sent, for lack of IPv6 mostly, fails by not being answered.
                let _ = udp.try_send(server, &request);
            }
            while let Some(event) = one.discovery.poll_event() {
                match event {
                    Event::Reflexive { mapped, round_trip, .. } => {
                        hairpin.aim(mapped, &own);
                        one.seen.get_or_insert((mapped, round_trip));
                    }
                    Event::Nat(report) => one.nat = report,
                    Event::ServerFailed { .. } => {}
                }
            }
        }
        hairpin.send(zero.elapsed());
        let next = asked.iter().filter_map(|one| one.discovery.poll_timeout()).chain(hairpin.next).min();
        let wake = next.map_or(end, |next| end.min(zero + next));
        let received = timeout_at(wake, poll_fn(|cx| udp.poll_recv(cx, &mut buffer))).await;
        if let Ok(Ok((length, from))) = received {
            let now = zero.elapsed();
            let is_answer = asked.iter_mut().any(|one| one.discovery.handle(now, from, &buffer[..length]));
            if !is_answer {
                hairpin.receive(&buffer[..length]);
            }
        }
    }
    stun.extend(asked.iter().map(|one| (one.name.clone(), one.answer())));
    let nats =
        [Family::V4, Family::V6].into_iter().filter_map(|family| Some((family, nat(&asked, family, &own)?)));
    Probed { stun, nats: nats.collect(), hairpin: hairpin.outcome(), mapping: None, clock_ahead: None }
}

/// How the NAT of one family chooses ports; nothing when no server answered in it.
fn nat(asked: &[Asked], family: Family, own: &[IpAddr]) -> Option<Mapping> {
    let in_family = || asked.iter().filter(|one| one.address.is_ipv4() == (family == Family::V4));
    let seen = in_family().filter_map(|one| Some(Observation { server: one.address, mapped: one.seen?.0 }));
    let seen: Vec<Observation> = seen.collect();
    if seen.is_empty() {
        return None;
    }
    let together = classify(&seen, own).mapping;
    let alone = in_family().map(|one| one.nat.mapping).find(|mapping| *mapping != Mapping::Unknown);
    Some(if together == Mapping::Unknown { alone.unwrap_or(together) } else { together })
}

/// A second socket that sends to the first one's outside address.
#[derive(Debug, Default)]
struct Hairpin {
    from: Option<(SystemUdp, SocketAddr, [u8; 32])>,
    sent: u32,
    next: Option<Duration>,
    came: bool,
}

impl Hairpin {
    fn aim(&mut self, mapped: SocketAddr, own: &[IpAddr]) {
        let translated = mapped.is_ipv4() && !own.contains(&mapped.ip());
        if translated
            && self.from.is_none()
            && let Ok(socket) = SystemUdp::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)))
        {
            self.from = Some((socket, mapped, random::bytes()));
            self.next = Some(Duration::ZERO);
        }
    }

    fn send(&mut self, now: Duration) {
        let Some((socket, to, token)) = &self.from else { return };
        if self.next.is_some_and(|next| next <= now) {
            let done = self.came || self.sent == HAIRPIN_TRIES;
            self.next = (!done).then_some(now + Duration::from_millis(150));
            if !done {
                self.sent += 1;
                let _ = socket.try_send(*to, token);
            }
        }
    }

    fn receive(&mut self, datagram: &[u8]) {
        self.came |= self.from.as_ref().is_some_and(|(_, _, token)| token == datagram);
    }

    fn is_over(&self) -> bool {
        self.came || self.next.is_none()
    }

    fn outcome(&self) -> Option<bool> {
        (self.sent > 0).then_some(self.came)
    }
}

/// By how many seconds our clock is ahead of the first time server that answers.
async fn clock_ahead(platform: &dyn Platform) -> Option<f64> {
    for name in CLOCKS {
        if let Ok(Some(ahead)) = timeout(CLOCK_PATIENCE, ask_clock(platform, name)).await {
            return Some(ahead);
        }
    }
    None
}

async fn ask_clock(platform: &dyn Platform, name: &str) -> Option<f64> {
    let server = *platform.resolve(name, CLOCK_PORT).await.ok()?.first()?;
    let local = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = tokio::net::UdpSocket::bind(local).await.ok()?;
    socket.connect(server).await.ok()?;
    let nonce: [u8; 32] = random::bytes();
    let mut request = [0; 48];
    // Version 4, client (RFC 4330, section 4). Where our time would stand is a number to know the answer by.
    request[0] = 0x23;
    request[40..].copy_from_slice(&nonce[..8]);
    let asked = Instant::now();
    socket.send(&request).await.ok()?;
    let mut answer = [0; 128];
    loop {
        let length = socket.recv(&mut answer).await.ok()?;
        if let Some(theirs) = read_clock(&answer[..length], &nonce[..8]) {
            let ours = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
            return Some(ours - theirs - asked.elapsed().as_secs_f64() / 2.0);
        }
    }
}

/// The time in the answer of a server that knows it, in unix seconds.
fn read_clock(answer: &[u8], nonce: &[u8]) -> Option<f64> {
    let is_server = answer.len() >= 48 && answer[0] & 0x7 == 4 && (1..=15).contains(&answer[1]);
    if !is_server || answer[24..32] != *nonce {
        return None;
    }
    let word = |at: usize| u32::from_be_bytes([answer[at], answer[at + 1], answer[at + 2], answer[at + 3]]);
    // Numbers below half belong to the era that begins in 2036 (RFC 4330, section 3).
    let era = if word(40) >> 31 == 0 { 1_i64 << 32 } else { 0 };
    let seconds = i64::from(word(40)) + era - NTP_TO_UNIX_SECONDS;
    Some(seconds as f64 + f64::from(word(44)) / 2.0_f64.powi(32))
}

#[cfg(test)]
mod tests {
    use super::read_clock;

    #[test]
    fn the_time_is_read_only_from_the_answer_to_our_own_question() {
        let mut answer = [0; 48];
        (answer[0], answer[1]) = (0x24, 2);
        answer[24..32].copy_from_slice(b"12345678");
        answer[40..44].copy_from_slice(&(2_208_988_800_u32 + 1_700_000_000).to_be_bytes());
        answer[44] = 0x80;
        assert_eq!(read_clock(&answer, b"12345678"), Some(1_700_000_000.5));
        assert_eq!(read_clock(&answer, b"12345679"), None);
        assert_eq!(read_clock(&answer[..47], b"12345678"), None);
        answer[1] = 0;
        assert_eq!(read_clock(&answer, b"12345678"), None, "a server that does not know the time");
    }
}
