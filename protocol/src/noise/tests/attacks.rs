use super::*;

const HELLO: u8 = 1;
const HELLO_REPLY: u8 = 2;

#[test]
fn a_wrong_secret_fails_on_both_sides_in_every_mode() {
    let wrong = [
        Credential::Ticket {
            group: GROUP,
            ticket: TICKET,
            secret: TicketSecret::from_bytes([0; 16]),
            from: bob().peer_id(),
        },
        Credential::Password,
        Credential::Member {
            group: GROUP,
            epoch: 7,
            secret: EpochSecret::from_bytes([0; 32]),
            to: bob().peer_id(),
        },
    ];
    for credential in wrong {
        let initiator_password = StretchedPassword::from_bytes([0; 32]);
        let meeting = Meeting { initiator_password, ..Meeting::with(credential) };
        assert_eq!(meeting.run(), refused_by_responder(RefuseReason::WrongSecret));
    }
}

#[test]
fn a_secret_of_another_kind_lets_nobody_in() {
    for credential in credentials() {
        let meeting = Meeting {
            secret: |mode| {
                our_secret(match mode {
                    Mode::Ticket { .. } => Mode::Password,
                    Mode::Password => Mode::Member { group: GROUP, epoch: 7 },
                    Mode::Member { group, .. } => Mode::Ticket { group, ticket: TICKET },
                })
            },
            ..Meeting::with(credential)
        };
        assert_eq!(meeting.run(), refused_by_responder(RefuseReason::WrongSecret));
    }
}

#[test]
fn somebody_between_two_tls_connections_fails_on_both_sides() {
    // Everything is relayed faithfully; only the connections are two.
    for credential in credentials() {
        let meeting = Meeting { responder_exporter: [0x34; 32], ..Meeting::with(credential) };
        assert_eq!(meeting.run(), refused_by_responder(RefuseReason::WrongSecret));
    }
}

#[test]
fn the_policy_s_refusals_reach_the_other_side() {
    let refuse =
        Meeting { secret: |_| Err(RefuseReason::RevokedTicket), ..Meeting::with(ticket_credential()) };
    assert_eq!(refuse.run(), refused_by_responder(RefuseReason::RevokedTicket));
    let refuse =
        Meeting { secret: |_| Err(RefuseReason::UnknownCode(200)), ..Meeting::with(ticket_credential()) };
    assert_eq!(refuse.run(), refused_by_responder(RefuseReason::UnknownCode(200)));
}

#[test]
fn another_group_s_ticket_or_epoch_is_refused_before_any_secret_is_looked_up() {
    let other = GroupId([0xEE; 16]);
    let foreign = [
        (
            Credential::Ticket {
                group: other,
                ticket: TICKET,
                secret: ticket_secret(),
                from: bob().peer_id(),
            },
            RefuseReason::UnknownTicket,
        ),
        (
            Credential::Member { group: other, epoch: 7, secret: epoch_secret(), to: bob().peer_id() },
            RefuseReason::NotAMember,
        ),
    ];
    for (credential, reason) in foreign {
        let meeting = Meeting {
            secret: |_| panic!("nobody may be asked about another group"),
            ..Meeting::with(credential)
        };
        assert_eq!(meeting.run(), refused_by_responder(reason));
    }
}

#[test]
fn whoever_has_the_ticket_cannot_pose_as_its_issuer() {
    let mallory = || Identity::from_seed(&[0x77; 32]);
    for credential in [ticket_credential(), member_credential()] {
        let meeting = Meeting { responder: mallory(), ..Meeting::with(credential) };
        assert_eq!(meeting.run(), refused_by_responder(RefuseReason::WrongSecret));
    }
    // A password names nobody.
    let anyone = Meeting { responder: mallory(), ..Meeting::with(Credential::Password) };
    assert!(anyone.run().0.is_ok());
}

#[test]
fn a_ticket_from_nobody_opens_nothing() {
    let from = PeerId([2; 32]);
    let credential = Credential::Ticket { group: GROUP, ticket: TICKET, secret: ticket_secret(), from };
    assert_eq!(Meeting::with(credential).run(), refused_by_responder(RefuseReason::WrongSecret));
}

#[test]
fn nobody_connects_to_themselves() {
    let meeting = Meeting { responder: alice(), ..Meeting::with(Credential::Password) };
    assert_eq!(meeting.run(), refused_by_initiator(RefuseReason::SameIdentity));
    let meeting = Meeting { initiator: bob(), ..Meeting::with(ticket_credential()) };
    assert_eq!(meeting.run(), refused_by_responder(RefuseReason::SameIdentity));
}

#[test]
fn nobody_introduces_themselves_as_another() {
    // Mallory runs Noise with her own key, and says that she is Alice.
    let mallory = Identity::from_seed(&[0x77; 32]);
    let local = Local { identity: &mallory, name: "Alice", exporter: EXPORTER, seed: [5; 32] };
    for credential in credentials() {
        let meeting = Meeting::with(credential.clone());
        let forged = Party { peer: alice().peer_id(), ..Party::new(&local) };
        let mut sides = meeting.sides();
        sides.0 = Initiator::with_party(forged, credential, &[]);
        assert_eq!(
            meeting.run_sides(sides, |_, _, _| {}),
            refused_by_responder(RefuseReason::UnexpectedPeer)
        );
    }
    // The same at the other end, where a ticket would have stopped her earlier.
    let meeting = Meeting::with(Credential::Password);
    let mut sides = meeting.sides();
    sides.1 = Responder::with_party(Party { peer: bob().peer_id(), ..Party::new(&local) }, GROUP);
    assert_eq!(meeting.run_sides(sides, |_, _, _| {}), refused_by_initiator(RefuseReason::UnexpectedPeer));
}

#[test]
fn a_downgraded_hello_fails_on_both_sides() {
    // Versions: both speak 1 to 2, and somebody makes the Hello offer only 1.
    let meeting = Meeting { versions: [(1, 2), (1, 2)], ..Meeting::with(ticket_credential()) };
    assert_eq!(meeting.run().0.unwrap().version, 2);
    let lowered = meeting.run_tampered(|_, number, message| {
        if number == 0 {
            message[2] = 1;
        }
    });
    // Noise1 is made for a version that was not offered then.
    assert_eq!(lowered, refused_by_responder(RefuseReason::Malformed));

    // The reply chooses less than both speak, or more than was offered.
    let lowered = meeting.run_tampered(|_, _, message| {
        if message[0] == HELLO_REPLY {
            message[1] = 1;
        }
    });
    // The initiator begins Noise anew, for the lower version; the answer to what it said ahead does not fit.
    assert_eq!(lowered.0, Err(HandshakeError::Refusing(RefuseReason::Malformed)));
    let raised = meeting.run_tampered(|_, _, message| {
        if message[0] == HELLO_REPLY {
            message[1] = 3;
        }
    });
    assert_eq!(raised.0, Err(HandshakeError::Refusing(RefuseReason::WrongVersion)));
}

#[test]
fn a_responder_of_another_group_is_not_the_one_expected() {
    for credential in [ticket_credential(), member_credential()] {
        let other = Meeting::with(credential).run_tampered(|_, _, message| {
            if message[0] == HELLO_REPLY {
                message[2..18].fill(0xEE);
            }
        });
        assert_eq!(other.0, Err(HandshakeError::Refusing(RefuseReason::UnexpectedPeer)));
    }
}

#[test]
fn a_changed_mode_fails_on_both_sides() {
    for (credential, mode) in [(ticket_credential(), 1), (ticket_credential(), 2), (member_credential(), 0)] {
        let (ours, theirs) = Meeting::with(credential).run_tampered(|_, number, message| {
            if number == 0 {
                message[3] = mode;
            }
        });
        assert!(ours.is_err() && theirs.is_err(), "mode {mode}");
    }
}

#[test]
fn bytes_that_a_later_version_may_add_are_authenticated_too() {
    for kind in [HELLO, HELLO_REPLY] {
        let (ours, _) = Meeting::with(ticket_credential()).run_tampered(|_, _, message| {
            if message[0] == kind {
                message.push(0);
            }
        });
        assert!(ours.is_err());
    }
}

#[test]
fn every_flipped_bit_fails_on_both_sides() {
    for credential in credentials() {
        let password = matches!(credential, Credential::Password);
        let meeting = Meeting::with(credential);
        let recording = meeting.recording();
        // From here on the responder has done its part; the initiator then hangs up.
        let admitted = if password { recording.len() - 1 } else { 2 };
        for (number, (_, message)) in recording.iter().enumerate() {
            for bit in 0..message.len() * 8 {
                let (ours, theirs) = meeting.run_tampered(|_, at, message| {
                    if at == number {
                        message[bit / 8] ^= 1 << (bit % 8);
                    }
                });
                assert!(ours.is_err(), "message {number}, bit {bit}");
                assert_eq!(theirs.is_err(), number < admitted, "message {number}, bit {bit}");
            }
        }
    }
}

#[test]
fn every_shortened_message_fails() {
    for credential in credentials() {
        let meeting = Meeting::with(credential);
        for (number, (_, message)) in meeting.recording().iter().enumerate() {
            for len in 0..message.len() {
                let (ours, _) = meeting.run_tampered(|_, at, message| {
                    if at == number {
                        message.truncate(len);
                    }
                });
                assert!(ours.is_err(), "message {number} cut to {len}");
            }
        }
    }
}

#[test]
fn a_replayed_initiator_is_refused() {
    for credential in credentials() {
        let recording = Meeting::with(credential.clone()).recording();
        // With a password, even if the exporter came twice, which TLS rules out.
        let password = matches!(credential, Credential::Password);
        for exporter in [[0x35; 32]].into_iter().chain(password.then_some(EXPORTER)) {
            let meeting = Meeting {
                responder_exporter: exporter,
                responder_seed: 99,
                ..Meeting::with(credential.clone())
            };
            let (_, mut responder) = meeting.sides();
            let mut ending = None;
            for (from, message) in &recording {
                if *from == From::Initiator {
                    responder.handle_message(message);
                    meeting.answer_responder(&mut responder, &mut ending);
                }
            }
            assert_eq!(ending, Some(Err(HandshakeError::Refusing(RefuseReason::WrongSecret))));
        }
    }
}

#[test]
fn a_replayed_responder_is_refused() {
    for credential in credentials() {
        let recording = Meeting::with(credential.clone()).recording();
        let meeting = Meeting { initiator_seed: 99, ..Meeting::with(credential) };
        let (mut initiator, _) = meeting.sides();
        let mut ending = None;
        for (from, message) in &recording {
            if *from == From::Responder {
                initiator.handle_message(message);
                meeting.answer_initiator(&mut initiator, &mut ending);
            }
        }
        assert_eq!(ending, Some(Err(HandshakeError::Refusing(RefuseReason::Malformed))));
    }
}

#[test]
fn a_message_sent_twice_ends_the_handshake() {
    let meeting = Meeting::with(ticket_credential());
    let (mut initiator, mut responder) = meeting.sides();
    let hello = initiator.poll_transmit().unwrap();
    responder.handle_message(&hello);
    assert!(matches!(responder.poll_event(), Some(ResponderEvent::NeedSecret(_))));
    responder.handle_message(&hello);
    assert!(matches!(
        responder.poll_event(),
        Some(ResponderEvent::Failed(HandshakeError::Refusing(RefuseReason::Malformed)))
    ));
    responder.provide(Secret::Ticket(ticket_secret()));
    assert!(responder.has_ended(), "a late answer revives nothing");
}

#[test]
fn a_forged_refusal_connects_nobody() {
    for credential in credentials() {
        let meeting = Meeting::with(credential);
        for (step, (from, _)) in meeting.recording().iter().enumerate() {
            let (mut initiator, mut responder) = meeting.sides();
            let (mut ours, mut theirs) = (None, None);
            let refusal = wire::refuse(RefuseReason::GroupFull);
            let expected = Some(Err(HandshakeError::Refused(RefuseReason::GroupFull)));
            for number in 0..=step {
                let to_responder = initiator.poll_transmit();
                let message = to_responder.clone().or_else(|| responder.poll_transmit()).unwrap();
                let message = if number == step { &refusal } else { &message };
                if to_responder.is_some() {
                    responder.handle_message(message);
                } else {
                    initiator.handle_message(message);
                }
                meeting.answer_initiator(&mut initiator, &mut ours);
                meeting.answer_responder(&mut responder, &mut theirs);
            }
            match from {
                From::Initiator => assert_eq!(theirs, expected, "step {step}"),
                From::Responder => assert_eq!(ours, expected, "step {step}"),
            }
            assert!(!matches!(ours, Some(Ok(_))), "step {step}");
        }
    }
}

#[test]
fn our_own_pake_message_is_no_answer() {
    let meeting = Meeting::with(Credential::Password);
    let (ours, theirs) = {
        let mut pake = Vec::new();
        meeting.run_tampered(move |_, number, message| match number {
            2 => pake = message.clone(),
            3 => message[1..].copy_from_slice(&pake[1..]),
            _ => {}
        })
    };
    assert!(ours.is_err() && theirs.is_err());
}
