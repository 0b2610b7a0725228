use std::net::SocketAddr;

use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::limits::{CANDIDATES_MAX, TICKET_CHARS_MAX, TICKET_RELAY_BYTES_MAX, TICKET_RELAYS_MAX};

fn example() -> Ticket {
    Ticket {
        group: GroupId([1; 16]),
        issuer: PeerId([2; 32]),
        id: TicketId([3; 8]),
        secret: TicketSecret::from_bytes([0xAB; 16]),
        expires_at: 1_800_000_000,
        uses: 1,
        candidates: vec!["203.0.113.5:4700".parse().unwrap(), "[2001:db8::7]:4701".parse().unwrap()],
        relays: vec!["turn:192.0.2.1:3478".to_owned()],
        others: vec![Door {
            member: PeerId([4; 32]),
            reach: Reach {
                addresses: vec!["203.0.113.6:4700".parse().unwrap()],
                relays: vec!["turn:192.0.2.1:3478 192.0.2.1:50000".parse().unwrap()],
            },
        }],
    }
}

fn tickets() -> impl Strategy<Value = Ticket> {
    let keys = (any::<[u8; 16]>(), any::<[u8; 32]>(), any::<[u8; 8]>(), any::<[u8; 16]>());
    let address = (any::<std::net::IpAddr>(), any::<u16>()).prop_map(SocketAddr::from);
    let candidates = prop::collection::vec(address, 0..=CANDIDATES_MAX);
    let relays = prop::collection::vec("[a-z:.0-9]{0,60}", 0..=TICKET_RELAYS_MAX);
    (keys, any::<u64>(), any::<u32>(), candidates, relays).prop_map(
        |((group, issuer, id, secret), expires_at, uses, candidates, relays)| Ticket {
            group: GroupId(group),
            issuer: PeerId(issuer),
            id: TicketId(id),
            secret: TicketSecret::from_bytes(secret),
            expires_at,
            uses,
            candidates,
            relays,
            others: Vec::new(),
        },
    )
}

fn read(text: &str) -> Result<Ticket, TicketError> {
    text.parse()
}

#[test]
fn a_ticket_is_one_line_of_letters_and_digits_that_begins_with_its_version() {
    let line = example().to_string();
    assert!(line.starts_with("rt1a"), "{line}");
    assert!(line.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()), "{line}");
    assert_eq!(read(&line), Ok(example()));
}

#[test]
fn a_ticket_is_read_however_it_was_pasted() {
    let line = example().to_string();
    let (first, second) = line.split_at(76);
    for pasted in [
        format!("  {line}\r\n"),
        format!("\"{line}\""),
        format!("<{line}>."),
        format!("“{line}”"),
        line.to_uppercase(),
        format!("{first}\r\n{second}"),
        format!("> {first}\n> {second}"),
        format!("{first}=\n{second}"),
        format!("`{first}\u{200b}{second}`"),
    ] {
        assert_eq!(read(&pasted), Ok(example()), "{pasted}");
    }
}

#[test]
fn a_bad_ticket_says_what_is_wrong_with_it() {
    let line = example().to_string();
    for text in ["", "hello", "rt", "roundtable", "https://example.org/rt1a", "rta", "1rt"] {
        assert_eq!(read(text), Err(TicketError::NotATicket), "{text}");
    }
    assert_eq!(read("rt1"), Err(TicketError::Truncated { missing_chars: 4 }));
    assert_eq!(
        read(&line[..line.len() - 9]),
        Err(TicketError::Truncated { missing_chars: 9 }),
        "an ending that was not copied"
    );
    assert_eq!(read(&format!("{line}a")), Err(TicketError::Mistyped));
    assert_eq!(read(&line.replacen("rt1", "rt2", 1)), Err(TicketError::OtherVersion(2)));
    assert_eq!(read("rt27 whatever it holds"), Err(TicketError::OtherVersion(27)));
    assert_eq!(read(&format!("rt1{}", "a".repeat(TICKET_CHARS_MAX))), Err(TicketError::Mistyped));
}

#[test]
fn an_expired_ticket_tells_since_when() {
    let ticket = example();
    assert_eq!(ticket.check(ticket.expires_at - 1), Ok(()));
    let expired = ticket.check(ticket.expires_at + 3 * 3_600).unwrap_err();
    assert_eq!(expired.ago, Duration::from_secs(3 * 3_600));
    assert!(expired.to_string().starts_with("this ticket expired 3 hours ago"), "{expired}");
    assert!(ticket.check(ticket.expires_at).is_err());
}

#[test]
fn debug_shows_neither_the_secret_nor_credentials() {
    let ticket = Ticket { relays: vec!["turn:user:hunter2@192.0.2.1".to_owned()], ..example() };
    let shown = format!("{ticket:?} {:?}", ticket.secret);
    assert!(!shown.contains("171") && !shown.to_lowercase().contains("abab"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn fields_of_later_versions_are_skipped_and_double_ones_refused() {
    let mut body = fields::encode(&example()).to_vec();
    assert_eq!(body[0], 0xA9, "a map of nine fields");
    let mut later = body.clone();
    later[0] = 0xAB;
    later.extend_from_slice(&[0x18, 99, 0x82, 0x01, 0x61, b'x', 0x18, 100, 0xF6]);
    assert_eq!(fields::decode(&later), Some(example()));

    body[0] = 0xAA;
    body.extend_from_slice(&[0x05, 0x00]);
    assert_eq!(fields::decode(&body), None, "uses twice");
}

#[test]
fn more_addresses_and_relays_than_a_ticket_holds_are_cut() {
    let address = |port| SocketAddr::new([2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(), port);
    let ticket = Ticket {
        candidates: (0..100).map(address).collect(),
        relays: vec!["r".repeat(TICKET_RELAY_BYTES_MAX); 100],
        ..example()
    };
    let line = ticket.to_string();
    assert!(line.len() <= TICKET_CHARS_MAX, "{} characters", line.len());
    let read = read(&line).unwrap();
    assert_eq!(read.candidates, ticket.candidates[..CANDIDATES_MAX]);
    assert_eq!(read.relays, ticket.relays[..TICKET_RELAYS_MAX]);
}

#[test]
fn every_single_substitution_of_a_character_is_noticed() {
    let line = example().to_string();
    for at in 0..line.len() {
        for c in "abcdefghijklmnopqrstuvwxyz0123456789-_>=\" \n".chars() {
            if line[at..].starts_with(c) {
                continue;
            }
            let mut typed = line.clone();
            typed.replace_range(at..=at, c.encode_utf8(&mut [0; 4]));
            assert!(read(&typed).is_err(), "{c:?} at {at}");
        }
    }
}

proptest! {
    #[test]
    fn every_ticket_survives_its_line(ticket in tickets()) {
        let line = ticket.to_string();
        prop_assert!(line.len() <= TICKET_CHARS_MAX);
        prop_assert_eq!(read(&line), Ok(ticket));
    }

    #[test]
    fn transposed_and_missing_characters_are_noticed(
        (line, at) in tickets().prop_flat_map(|ticket| {
            let line = ticket.to_string();
            let end = line.len() - 1;
            (Just(line), 0..end)
        })
    ) {
        let mut swapped = line.clone().into_bytes();
        swapped.swap(at, at + 1);
        if swapped != line.as_bytes() {
            prop_assert!(read(std::str::from_utf8(&swapped).unwrap()).is_err());
        }
        prop_assert!(read(&line[..at]).is_err());
        let mut shorter = line.clone();
        shorter.remove(at);
        prop_assert!(read(&shorter).is_err());
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in any::<String>(), data in "rt1[a-z2-7]{0,300}") {
        let _ = read(&text);
        prop_assert!(read(&data).is_err());
    }

    #[test]
    fn no_body_makes_the_reader_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = fields::decode(&body);
    }
}
