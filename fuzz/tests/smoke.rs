//! Every fuzz target's body over a bounded number of inputs: random bytes, and valid examples as they are
//! and with a few changes. `FUZZ_SEED` chooses other inputs, `FUZZ_CASES` how many.

use protocol::control::{
    CandidateInfo, Candidates, Chat, Epoch, Heads, Leave, Member, Members, Message, Operations,
    SignedOperation, VoiceState,
};
use protocol::id::{GroupId, PeerId};
use protocol::invite::{Door, Ticket, TicketId, TicketSecret};
use protocol::media::ReceptionReport;
use protocol::media::packet::{Copied, Marks, VoicePacket};
use protocol::reach::Reach;
use protocol::reply::Reply;
use std::panic::{AssertUnwindSafe, catch_unwind};

const LENGTH_MAX: u64 = 1400;

#[test]
fn no_input_breaks_the_ticket() {
    let line = example_ticket().to_string();
    let bytes = data_encoding::BASE32_NOPAD.decode(line["rt1".len()..].to_uppercase().as_bytes());
    let bytes = bytes.expect("a ticket is base32");
    let body = bytes[2..bytes.len() - 5].to_vec();
    assert_eq!(roundtable_fuzz::line_around(&body), line, "the fuzzer's idea of a ticket is out of date");
    run(roundtable_fuzz::ticket, &[line.into_bytes(), body], 20_000);
}

#[test]
fn no_input_breaks_the_control_stream() {
    let member = Member {
        id: [3; 32].into(),
        name: "Ada".into(),
        addresses: vec!["192.0.2.1:4700".into(), "[2001:db8::1]:4700".into()],
        relays: vec!["turn:ada:secret@192.0.2.2:3478 192.0.2.2:50000".into()],
    };
    let candidates = Candidates {
        candidates: vec![CandidateInfo { kind: 1, address: "192.0.2.1:4700".into() }],
        mapping: 3,
        step: -1,
        newest: Some("192.0.2.1:4701".into()),
    };
    let signed = SignedOperation { body: vec![0xa1, 0, 1].into(), signature: [3; 64].into() };
    let messages = [
        Message::Members(Members { members: vec![member.clone(), member] }),
        Message::VoiceState(VoiceState { muted: true, deafened: false }),
        Message::Candidates(candidates),
        Message::Chat(Chat { id: 7, text: "hello".into() }),
        Message::Heads(Heads { heads: vec![[1; 32].into(), [2; 32].into()] }),
        Message::Operations(Operations { operations: vec![signed] }),
        Message::Epoch(Epoch { secret: [4; 32].into() }),
        Message::Leave(Leave {}),
    ];
    let mut stream = vec![3];
    messages.iter().for_each(|message| stream.extend(message.encode()));
    run(roundtable_fuzz::control, &[stream], 20_000);
}

#[test]
fn no_input_breaks_a_voice_packet() {
    run(roundtable_fuzz::voice_packet, &[example_packet(1, 8), example_packet(2, 16)], 40_000);
}

#[test]
fn no_input_breaks_a_voice_stream() {
    let mut stream = Vec::new();
    for number in 0..40_u16 {
        let packet = example_packet(number, u64::from(number) * 4);
        stream.extend([0, 4, packet.len() as u8]);
        stream.extend(packet);
        stream.extend([4, 0, 0xff, 0]);
    }
    run(roundtable_fuzz::voice_stream, &[stream], 10_000);
}

#[test]
fn no_input_breaks_a_reception_report() {
    let report = ReceptionReport { lost: 10, concealed: 3, jitter_ms: 40, ..ReceptionReport::default() };
    run(roundtable_fuzz::reception_report, &[report.encode().to_vec()], 20_000);
}

#[test]
fn nobody_gets_past_the_door_without_a_true_knock() {
    let knock = roundtable_fuzz::example_knock();
    let datagram = |what: u8, bytes: &[u8]| [&[what, bytes.len() as u8][..], bytes].concat();
    let mut first_packet = vec![0xc3, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8];
    first_packet.resize(200, 9);
    let answer = protocol::door::cookie::answer([3; 12], b"0123456789abcdef");
    let examples = [
        [datagram(0x10, &knock), datagram(0x10, &first_packet), datagram(0x20, &first_packet)].concat(),
        [datagram(0x14, &first_packet), datagram(0x14, &answer), datagram(0x14, &first_packet)].concat(),
        datagram(0x14, &first_packet).repeat(20),
    ];
    run(roundtable_fuzz::door, &examples, 20_000);
}

#[test]
fn no_changed_check_is_answered() {
    run(roundtable_fuzz::ice_messages, &[Vec::new(), vec![0, 40, 1], vec![20]], 20_000);
}

#[test]
fn no_input_breaks_an_agent_or_has_it_flood() {
    let steps = [0, 192, 0, 2, 1, 203, 0, 113, 7, 40, 0, 0, 4, 0, 0, 0, 7, 200, 0, 0, 5, 203, 0, 113];
    let mut message = vec![3, 60, 0, 9, 0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42];
    message.resize(40, 5);
    run(roundtable_fuzz::ice_operations, &[steps.to_vec(), message], 3_000);
}

#[test]
fn no_input_gets_an_allocation_out_of_a_turn_client() {
    let steps =
        vec![0, 1, 2, 1, 3, 4, 4, 30, 0, 7, 40, 0, 2, 0, 0, 6, 1, 1, 5, 24, 1, 0, 9, 0, 4, 0, 0, 4, 1];
    run(roundtable_fuzz::turn_operations, &[steps], 10_000);
    run(roundtable_fuzz::turn_stream, &[vec![3, 0x40, 1, 0, 2, 9, 9, 0, 0, 0, 1, 0, 0]], 20_000);
}

#[test]
fn no_words_break_a_group() {
    let joinings = [0, 2, 9, 1, 1, 2, 9, 2, 0, 2, 2, 0x81, 1, 2, 0, 2, 2, 0, 0, 0, 0, 2, 0, 1, 2, 1, 3, 7];
    run(roundtable_fuzz::group_operations, &[joinings.to_vec(), joinings.repeat(4)], 1_000);
}

#[test]
fn no_input_breaks_a_reply_code() {
    let reach = Reach { addresses: vec!["192.0.2.1:4700".parse().expect("an address")], relays: Vec::new() };
    run(roundtable_fuzz::reply, &[Reply { reach }.to_string().into_bytes()], 20_000);
}

#[test]
fn no_input_breaks_the_demultiplexer() {
    let mut stun = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    stun.resize(20, 7);
    let mut initial = vec![0xc0, 0, 0, 0, 1, 8];
    initial.resize(1200, 0);
    run(roundtable_fuzz::demux, &[stun, vec![0x40, 0, 0, 4, 1, 2, 3, 4], initial], 40_000);
}

#[test]
fn no_input_breaks_a_name() {
    let names = [
        "Ada Lovelace",
        "Zo\u{eb} \u{202e}evil\u{0}",
        "e\u{301}\u{301}\u{301}\u{301}",
        "\u{200b}\t \u{1f600}",
    ];
    run(roundtable_fuzz::name, &names.map(|name| name.as_bytes().to_vec()), 40_000);
}

#[test]
fn nobody_in_the_middle_of_a_handshake_connects() {
    // Untouched, by ticket and by membership; then one bit changed in each message in turn.
    let mut scripts = vec![vec![0], vec![1]];
    scripts.extend((0..5).map(|number| {
        let mut script = vec![number as u8 & 1];
        script.extend([0].repeat(2 * number));
        script.extend([1, 40]);
        script
    }));
    run(roundtable_fuzz::handshake, &scripts, 1500);
}

/// Runs `body` over the examples, then over `cases` inputs made from them and from nothing.
#[track_caller]
fn run(body: fn(&[u8]), examples: &[Vec<u8>], cases: u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let seed = number("FUZZ_SEED").unwrap_or(1);
    let cases = number("FUZZ_CASES").unwrap_or(cases);
    println!("seed {seed}, {cases} cases");
    let mut random = Random(seed);
    for example in examples {
        check(body, example);
    }
    for case in 0..cases {
        let input = match case % 4 {
            0 => {
                let length = random.below(LENGTH_MAX);
                (0..length).map(|_| random.next() as u8).collect()
            }
            _ => {
                let example = random.below(examples.len() as u64) as usize;
                random.mutated(&examples[example])
            }
        };
        check(body, &input);
    }
}

#[track_caller]
fn check(body: fn(&[u8]), input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| body(input))).is_err() {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("broken by the {} bytes {hex}", input.len());
    }
}

/// SplitMix64: enough for choosing inputs, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// The example with one to four changes: a bit, a byte, a stretch removed, repeated or filled.
    fn mutated(&mut self, example: &[u8]) -> Vec<u8> {
        let mut input = example.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(input.len() as u64) as usize;
            let end = at + self.below(((input.len() - at) as u64).min(16) + 1) as usize;
            match (self.below(6), input.get_mut(at)) {
                (0, Some(byte)) => *byte ^= 1 << self.below(8),
                (1, Some(byte)) => *byte = [0, 1, 0x7f, 0x80, 0xff][self.below(5) as usize],
                (2, Some(_)) => drop(input.drain(at..end)),
                (3, Some(_)) => {
                    let again = input[at..end].to_vec();
                    input.splice(at..at, again).for_each(drop);
                }
                (4, Some(_)) => input.truncate(at),
                _ => input.push(self.next() as u8),
            }
        }
        input
    }
}

fn example_ticket() -> Ticket {
    Ticket {
        group: GroupId([1; 16]),
        issuer: PeerId([2; 32]),
        id: TicketId([3; 8]),
        secret: TicketSecret::from_bytes([4; 16]),
        expires_at: 1_800_000_000,
        uses: 1,
        candidates: vec![([192, 0, 2, 1], 4700).into(), ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 4700).into()],
        relays: vec!["turn:user:word@relay.example:3478".into()],
        others: vec![Door { member: PeerId([5; 32]), reach: Reach::default() }],
    }
}

fn example_packet(sequence: u16, time: u64) -> Vec<u8> {
    let marks = Marks { ticks: 4, talkspurt_start: sequence == 0, talkspurt_end: false };
    let mut packet = VoicePacket::new(sequence, time, marks, &[0x48; 20]);
    packet.push_copy(Copied { sequence_back: 1, ticks_back: 4, marks, payload: &[0x48; 12] });
    let mut bytes = Vec::new();
    packet.encode(&mut bytes);
    bytes
}
