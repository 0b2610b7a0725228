//! What needs no server; whole conversations with one are in netsim's tests.

use super::{
    Client, ClientConfig, Family, Framing, Input, StreamReader, Transport, TurnServer, UriError, wrapping,
};
use proptest::collection::vec;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use std::net::SocketAddr;
use std::time::Duration;

fn client() -> Client {
    let config = ClientConfig {
        username: "ada".into(),
        password: "secret".into(),
        transport: Framing::Datagram,
        family: Family::V4,
        mobility: true,
        lifetime: Duration::from_secs(600),
    };
    Client::new(config, [1; 32], Duration::ZERO)
}

#[test]
fn servers_are_written_as_people_write_them() {
    let server: TurnServer = "turn:ada:secret@turn.example.org".parse().unwrap();
    assert_eq!((server.port, server.transport), (3478, Transport::Udp));
    let server: TurnServer = "turns:1700000000:ada:s%40cret@[2001:db8::1]:443".parse().unwrap();
    assert_eq!((&server.username[..], &server.password[..]), ("1700000000:ada", "s@cret"));
    assert_eq!((&server.host[..], server.port, server.transport), ("2001:db8::1", 443, Transport::Tls));
    assert_eq!(server.to_string(), "turns:1700000000:ada:s%40cret@[2001:db8::1]:443");
    assert!(!format!("{server:?}").contains("cret"));
    let wrong = |text: &str| text.parse::<TurnServer>().unwrap_err();
    assert_eq!(wrong("stun:a:b@h"), UriError::Scheme);
    assert_eq!(wrong("turn:h:3478"), UriError::Credentials);
    assert_eq!(wrong("turn:a:b@h:0"), UriError::Host);
    assert_eq!(wrong("turn:a:b@h?transport=sctp"), UriError::Transport);
    assert_eq!(wrong("turn:a:%4@h"), UriError::Percent);
}

#[test]
fn a_server_that_never_answers_is_given_up_after_some_seconds() {
    let mut client = client();
    let mut sent = 0;
    let mut now = Duration::ZERO;
    loop {
        while client.poll_transmit().is_some() {
            sent += 1;
        }
        let Some(next) = client.poll_timeout() else { break };
        now = next;
        client.handle_timeout(now);
    }
    assert_eq!((sent, now), (5, Duration::from_millis(7750)));
}

proptest! {
    #[test]
    fn a_stream_cut_anywhere_gives_the_same_frames(step in 1usize..40, sizes in vec(0usize..200, 1..10)) {
        let mut bytes = Vec::new();
        let payloads: Vec<Vec<u8>> = sizes.iter().map(|size| vec![7; *size]).collect();
        for payload in &payloads {
            wrapping::channel_data(0x4001, payload, true, &mut bytes);
        }
        let (mut reader, mut frames) = (StreamReader::default(), Vec::new());
        for chunk in bytes.chunks(step) {
            reader.push(chunk);
            while let Some(frame) = reader.next_frame().unwrap() {
                frames.push(wrapping::read_channel_data(&frame).unwrap().1.to_vec());
            }
        }
        prop_assert_eq!(frames, payloads);
    }

    #[test]
    fn no_message_breaks_the_client_or_makes_it_talk(messages in vec(vec(any::<u8>(), 0..120), 0..20)) {
        let mut client = client();
        while client.poll_transmit().is_some() {}
        for message in &messages {
            prop_assert_eq!(client.handle_input(Duration::ZERO, message), Input::Ignored);
        }
        prop_assert!(client.poll_transmit().is_none() && client.poll_event().is_none());
    }

    #[test]
    fn any_uri_is_read_or_refused(text in "turns?:[ -~]{0,60}") {
        if let Ok(server) = text.parse::<TurnServer>() {
            prop_assert_eq!(server.to_string().parse(), Ok(server));
        }
    }

    #[test]
    fn what_an_indication_carries_can_be_read(ip: std::net::IpAddr, port: u16, payload in vec(any::<u8>(), 0..100)) {
        let (mut out, peer) = (Vec::new(), SocketAddr::new(ip.to_canonical(), port));
        prop_assert!(wrapping::send_indication([3; 12], peer, &payload, &mut out));
        out[1] = 0x17;
        prop_assert_eq!(wrapping::read_data_indication(&out), Some((peer, &payload[..])));
    }
}
