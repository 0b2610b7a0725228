//! What finds paths: STUN and TURN messages, sequences of what happens to an agent and to a client, reply codes.

use protocol::ice::{Agent, AgentConfig, Candidate, CandidateKind, Credentials, Role, username_of};
use protocol::path::{Route, Via};
use protocol::reply::Reply;
use protocol::stun::decode_binding_response;
use protocol::turn::{Client, ClientConfig, Family, Framing, Input, StreamReader};
use std::net::SocketAddr;
use std::time::Duration;

/// A call has a few peers and a few servers: more packets than this for one byte of input would be a flood.
const PACKETS_PER_STEP: usize = 1200;

/// The input is a list of steps for an agent: local and remote addresses, messages, time.
pub fn ice_operations(data: &[u8]) {
    let credentials = |name: &str| Credentials { ufrag: name.repeat(8), pwd: name.repeat(26) };
    let config = AgentConfig {
        role: Role::Controlling,
        tie_breaker: 1,
        local: credentials("a"),
        remote: credentials("b"),
        seed: [1; 32],
        relay_only: data.first().is_some_and(|byte| byte & 1 == 1),
        birthday: true,
    };
    let relay_only = config.relay_only;
    let mut now = Duration::ZERO;
    let mut agent = Agent::new(config, now);
    let mut rest = data;
    while let Some((&[what, a, b, c], after)) = rest.split_first_chunk::<4>() {
        rest = after;
        let address = SocketAddr::from(([a, b, c, what], u16::from_be_bytes([b, c])));
        let via = if what & 0x80 == 0 { Via::Socket } else { Via::Relay(protocol::path::RelayId(a)) };
        match what % 8 {
            0 => agent.add_local(now, Candidate { kind: CandidateKind::Host, address, via }),
            1 => drop(agent.add_remote(now, CandidateKind::ServerReflexive, address)),
            2 => agent.remove_local(now, via, address),
            3 => {
                let message = &rest[..rest.len().min(usize::from(a))];
                let _ = username_of(message);
                let _ = decode_binding_response(message);
                agent.handle_stun(now, Route { via, to: address }, message);
            }
            4 => agent.recheck(now),
            5 => agent.nominate(now, Route { via, to: address }),
            6 => agent.keep(now, &[Route { via, to: address }]),
            _ => now += Duration::from_millis(u64::from(a) * 4),
        }
        agent.handle_timeout(now);
        let sent: Vec<Route> = std::iter::from_fn(|| agent.poll_transmit()).map(|sent| sent.route).collect();
        assert!(sent.len() < PACKETS_PER_STEP, "{} packets at once", sent.len());
        assert!(
            !relay_only || sent.iter().all(|route| route.is_relayed()),
            "relay-only sent a direct packet"
        );
        while agent.poll_event().is_some() {}
    }
}

/// A true check, changed by the input: pairs of a place and what is added there. Nothing that was changed is answered or
/// believed.
pub fn ice_messages(data: &[u8]) {
    let side = |role, local: &str, remote: &str| {
        let credentials = |name: &str| Credentials { ufrag: name.repeat(8), pwd: name.repeat(26) };
        let (local, remote) = (credentials(local), credentials(remote));
        let config = AgentConfig {
            role,
            tie_breaker: 1,
            local,
            remote,
            seed: [2; 32],
            relay_only: false,
            birthday: false,
        };
        Agent::new(config, Duration::ZERO)
    };
    let [here, there] = ["192.0.2.1:1000", "192.0.2.2:2000"].map(|text| text.parse().expect("an address"));
    let (mut asking, mut asked) = (side(Role::Controlling, "a", "b"), side(Role::Controlled, "b", "a"));
    let host = |address| Candidate { kind: CandidateKind::Host, address, via: Via::Socket };
    asking.add_local(Duration::ZERO, host(here));
    asked.add_local(Duration::ZERO, host(there));
    asking.add_remote(Duration::ZERO, CandidateKind::ServerReflexive, there);
    asking.handle_timeout(Duration::ZERO);
    let Some(check) = asking.poll_transmit() else { panic!("an agent that knows an address checks it") };
    let mut message = check.bytes.clone();
    for change in data.chunks_exact(3) {
        let place = usize::from(u16::from_be_bytes([change[0], change[1]])) % message.len();
        message[place] = message[place].wrapping_add(change[2]);
    }
    if let [.., rest] = data
        && data.len() % 3 == 1
    {
        message.truncate(usize::from(*rest));
    }
    let _ = username_of(&message);
    let _ = decode_binding_response(&message);
    let changed = message != check.bytes;
    let taken = asked.handle_stun(Duration::ZERO, Route::direct(here), &message);
    let answered = asked.poll_transmit().is_some();
    // The last attribute is a checksum that anybody can make, behind the signature.
    let behind_the_signature = message.len() == check.bytes.len()
        && message[..message.len() - 8] == check.bytes[..check.bytes.len() - 8];
    assert!(!changed || behind_the_signature || !answered, "a changed check was answered (taken: {taken})");
    assert!(changed || answered, "a true check was not answered");
}

/// The input is a list of steps for a TURN client: messages, peers, time. Nothing in it is signed, so there is never an
/// allocation.
pub fn turn_operations(data: &[u8]) {
    let config = ClientConfig {
        username: "ada".into(),
        password: "secret".into(),
        transport: if data.len().is_multiple_of(2) { Framing::Datagram } else { Framing::Stream },
        family: Family::V4,
        mobility: true,
        lifetime: Duration::from_secs(600),
    };
    let mut now = Duration::ZERO;
    let mut client = Client::new(config, [1; 32], now);
    let mut last = Vec::new();
    let mut rest = data;
    while let Some((&[what, a, b], after)) = rest.split_first_chunk::<3>() {
        rest = after;
        let peer = SocketAddr::from(([192, 0, 2, a], u16::from(b)));
        match what % 8 {
            0 => client.permit(now, peer.ip()),
            1 => client.bind(now, peer),
            2 => client.network_changed(now),
            3 => client.suspect(now),
            4 | 5 => {
                // An answer to what was asked last, as far as its header goes.
                let mut message = last.clone();
                message.truncate(20);
                message.extend_from_slice(&rest[..rest.len().min(usize::from(a))]);
                if let Some(class) = message.first_mut() {
                    *class = 1;
                }
                if let Some(kind) = message.get_mut(1) {
                    *kind |= if b & 1 == 0 { 0x10 } else { 0 };
                }
                let length = message.len().saturating_sub(20) as u16;
                if let Some(field) = message.get_mut(2..4) {
                    field.copy_from_slice(&length.to_be_bytes());
                }
                assert!(!matches!(client.handle_input(now, &message), Input::Data { .. }));
            }
            6 => assert!(!client.wrap(now, peer, &[a; 10], &mut Vec::new())),
            _ => now += Duration::from_millis(u64::from(a) * 16),
        }
        client.handle_timeout(now);
        let mut sent = 0;
        while let Some(message) = client.poll_transmit() {
            last = message;
            sent += 1;
        }
        assert!(sent < PACKETS_PER_STEP, "{sent} packets at once");
        while client.poll_event().is_some() {}
        assert!(client.relayed().is_none());
    }
}

/// A stream cut in two ways gives the same frames.
pub fn turn_stream(data: &[u8]) {
    let Some((&step, stream)) = data.split_first() else { return };
    let frames = |step: usize| {
        let (mut reader, mut frames) = (StreamReader::default(), Vec::new());
        for chunk in stream.chunks(step) {
            reader.push(chunk);
            loop {
                match reader.next_frame() {
                    Ok(Some(frame)) => frames.push(frame),
                    Ok(None) => break,
                    Err(_) => return frames,
                }
            }
        }
        frames
    };
    assert_eq!(frames(stream.len().max(1)), frames(usize::from(step).max(1)));
}

/// A reply code that is read is written the same way.
pub fn reply(data: &[u8]) {
    if let Ok(reply) = String::from_utf8_lossy(data).parse::<Reply>() {
        assert_eq!(reply.to_string().parse().as_ref(), Ok(&reply));
    }
}
