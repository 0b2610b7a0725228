use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assume, proptest};
use proptest::strategy::Strategy;

use super::*;
use crate::limits::HANDSHAKE_MESSAGE_BYTES_MAX;

/// What a stranger may do to either side.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    // A valid kind in front gets further than noise alone.
    let kind = prop::sample::select(vec![1_u8, 2, 3, 4, 5, 6, 7, 8, 0x7f, 0]);
    (kind, prop::collection::vec(any::<u8>(), 0..1500)).prop_map(|(kind, mut message)| {
        if let Some(first) = message.first_mut() {
            *first = kind;
        }
        message
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// At whichever step a stranger's bytes come, both sides end with an error, and what they answer is short.
    #[test]
    fn no_bytes_at_any_step_panic_or_connect(
        message in messages(),
        mode in 0_usize..3,
        step in 0_usize..8,
    ) {
        // A forged refusal ends one side, and its connection with it; attacks.rs has that case.
        prop_assume!(message.first() != Some(&0x7f));
        let meeting = Meeting::with(credentials()[mode].clone());
        let last = meeting.recording().len() - 1;
        let step = step.min(last);
        let mut longest = 0;
        let (ours, theirs) = meeting.run_tampered(|_, number, sent| {
            longest = longest.max(sent.len());
            if number == step {
                sent.clone_from(&message);
            }
        });
        prop_assert!(ours.is_err());
        // What the responder said last comes after its own verdict.
        let admitted = if mode == 1 { last } else { 2 };
        prop_assert!(theirs.is_err() || step >= admitted);
        prop_assert!(longest <= HANDSHAKE_MESSAGE_BYTES_MAX);
    }

    #[test]
    fn no_sequence_of_messages_and_answers_panics(
        sequence in prop::collection::vec((0_u8..8, messages()), 0..12),
        mode in 0_usize..3,
    ) {
        let meeting = Meeting::with(credentials()[mode].clone());
        let (mut initiator, mut responder) = meeting.sides();
        for (call, message) in sequence {
            match call {
                0 => initiator.handle_message(&message),
                1 => responder.handle_message(&message),
                2 => initiator.provide_password(&password()),
                3 => responder.provide(Secret::Password(password())),
                4 => responder.provide(Secret::Ticket(ticket_secret())),
                5 => responder.admit(&message[..message.len().min(16)]),
                6 => responder.refuse(RefuseReason::Locked),
                _ => while let Some(message) = initiator.poll_transmit() {
                    responder.handle_message(&message);
                    if let Some(answer) = responder.poll_transmit() {
                        initiator.handle_message(&answer);
                    }
                },
            }
        }
    }

    /// Whoever holds the secret is past Noise, and may still not say what they like.
    #[test]
    fn no_introduction_panics(plaintext in prop::collection::vec(any::<u8>(), 0..700)) {
        prop_assert!(introduction::decode(&plaintext, &[0; 32], alice().peer_id()).is_err());
    }
}
