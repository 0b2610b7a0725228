//! The line mode: sentences that a person reads, or a screen reader speaks.

use crate::session::event::{Departure, Event, PathKind, WayIn};
use crate::session::snapshot::{MemberView, Presence, Snapshot};
use std::collections::BTreeMap;
use std::io::Write;

/// What `help` prints.
pub(super) const HELP: &str = "\
mute, unmute          your microphone
deafen, undeafen      everybody else (and your microphone)
volume NAME DB        how loud you hear somebody, -60 to 20
who                   who is here, and how well they are heard
invite                a fresh line to send to friends; invite once is good for one of them
revoke LINE           such a line is worth nothing any more; revoke all means every one
lock, unlock, knock   nobody comes in; whoever has a line; whoever you admit
admit, deny NAME      whoever knocks comes in, or goes away
kick, ban NAME        puts somebody out; a banned one stays out
promote, demote NAME  somebody may kick and lock as well, or not
verify NAME           words to compare with somebody, and with the group
verified NAME         mark somebody whose words were the same; unverified NAME takes it back
say TEXT              a line of text to everybody
reply CODE            let in somebody who cannot reach you, by the code they were shown
leave                 leave the call";

/// Writes events to stdout as sentences.
#[derive(Default)]
pub(super) struct LineView {
    me: String,
    names: BTreeMap<String, String>,
    lost: BTreeMap<String, ()>,
    /// The kind of way to each, as it was last told.
    paths: BTreeMap<String, &'static str>,
    way_in: Option<WayIn>,
    epoch: Option<u64>,
    waiting: bool,
    /// Whether each was told to be verified.
    marks: BTreeMap<String, bool>,
}

impl LineView {
    /// Prints one event, if it is worth a line.
    pub(super) fn show(&mut self, event: &Event) -> std::io::Result<()> {
        let Some(text) = self.sentence(event) else { return Ok(()) };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()
    }

    fn sentence(&mut self, event: &Event) -> Option<String> {
        match event {
            Event::Ready { id, listen, ticket } => {
                self.me = id.clone();
                Some(match ticket {
                    Some(ticket) => format!(
                        "Send this line to your friends:\n\nroundtable join {ticket}\n\n\
                         Listening on {listen}. Type help for commands, leave to end."
                    ),
                    None => "Joining. Type help for commands, leave to end.".into(),
                })
            }
            Event::Audio { direction, device, rate, buffer_frames, .. } => {
                let what = if *direction == "input" { "Microphone" } else { "Speaker" };
                let ms = f64::from(*buffer_frames) * 1000.0 / f64::from((*rate).max(1));
                Some(format!("{what}: {device} ({rate} Hz, {ms:.0} ms)."))
            }
            Event::Connected { peer, name, path, ms } => {
                self.names.insert(peer.clone(), name.clone());
                self.paths.insert(peer.clone(), path_name(*path));
                Some(match self.lost.remove(peer) {
                    Some(()) => format!("{name} is back after {:.1} s.", *ms as f64 / 1000.0),
                    None => format!("{name} is here ({}, {ms} ms to connect).", path_name(*path)),
                })
            }
            Event::State { peer, muted, deafened } if *peer == self.me => {
                Some(own_state(*muted, *deafened).into())
            }
            Event::State { peer, muted, deafened } => {
                Some(format!("{} is {}.", self.name(peer), state(*muted, *deafened)))
            }
            Event::Lost { peer, reason } => {
                self.lost.insert(peer.clone(), ());
                Some(format!("{} is gone: {reason}. The seat is kept for a minute.", self.name(peer)))
            }
            Event::Left { peer, reason } => {
                self.lost.remove(peer);
                let name = self.name(peer);
                Some(match reason {
                    Departure::Left => format!("{name} left."),
                    Departure::Away => format!("{name} did not come back; the seat is given up."),
                    Departure::Removed => format!("{name} was put out."),
                })
            }
            Event::Reply { code, reason } => Some(format!(
                "Still trying: {reason}.\nSend the host this line, to be entered in its call:\n\nreply {code}\n"
            )),
            Event::Opened { seconds } => {
                Some(format!("The way is open for {seconds} s to whoever sent that code."))
            }
            Event::Knock { name, .. } => {
                Some(format!("{name} is at the door: admit {name}, or deny {name}."))
            }
            Event::Waiting => {
                let first = !std::mem::replace(&mut self.waiting, true);
                first.then(|| "Somebody there is asked whether to let you in.".into())
            }
            Event::Revoked { tickets: 1 } => Some("That line is worth nothing any more.".into()),
            Event::Revoked { tickets } => Some(format!("{tickets} lines are worth nothing any more.")),
            Event::Group { admission, epoch, .. } => {
                let way_before = self.way_in.replace(*admission);
                let epoch_before = self.epoch.replace(*epoch);
                if epoch_before.is_some_and(|before| before < *epoch) {
                    return Some(
                        "Somebody was put out. Lines sent so far let nobody in; invite gives a new one."
                            .into(),
                    );
                }
                (way_before.is_some_and(|before| before != *admission)).then(|| way_in(*admission).into())
            }
            Event::Ticket { ticket } => {
                Some(format!("Send this line to a friend:\n\nroundtable join {ticket}\n"))
            }
            Event::Known { peer, name, first_seen, verified, called_before } => {
                let before = self.marks.insert(peer.clone(), *verified);
                known(name, first_seen.is_none(), before, *verified, called_before.as_deref())
            }
            Event::KeyChanged { peer, name, known_as } => Some(format!(
                "WARNING: {name} ({}) has another key than the {name} you knew ({}). Somebody may be posing as them, or \
                 they have a new machine. Say nothing private before the words of `verify {}` are the same on both \
                 sides; then type `verified {}`.",
                short(peer),
                short(known_as),
                short(peer),
                short(peer)
            )),
            Event::Words { peer, name, words, group_words, verified } => Some(format!(
                "Read aloud with {name}{}: {words}\nThe same on both sides? Then type `verified {}`; if not, somebody \
                 listens in: leave.\nOf the whole group, the same for all who see the same people: {group_words}",
                if *verified { " (verified)" } else { "" },
                short(peer)
            )),
            Event::Message { peer, name, text, .. } => {
                Some(format!("> {}: {text}", self.speaker(peer, name)))
            }
            Event::Error { message, hint, .. } if hint.is_empty() => Some(format!("Problem: {message}.")),
            Event::Error { message, hint, .. } => Some(format!("Problem: {message}; {hint}.")),
            Event::Bye { reason } => Some(format!("Bye ({reason}).")),
            Event::Path { peer, kind, reason } => {
                let kind = path_name(*kind);
                let before = self.paths.insert(peer.clone(), kind);
                (before != Some(kind)).then(|| format!("{}: {kind} ({reason}).", self.name(peer)))
            }
            // The list of calls is not part of one.
            Event::Found { .. } | Event::Talking { .. } | Event::Stats(_) => None,
        }
    }

    /// A name that can be mistaken neither for another member's nor for a part of the text.
    fn speaker(&self, peer: &str, name: &str) -> String {
        let name = name.replace(':', " ");
        let shared =
            self.names.iter().any(|(id, other)| id != peer && other.to_lowercase() == name.to_lowercase());
        if shared { format!("{name} ({})", short(peer)) } else { name }
    }

    fn name(&self, peer: &str) -> String {
        self.names.get(peer).cloned().unwrap_or_else(|| short(peer))
    }
}

fn short(peer: &str) -> String {
    peer.chars().take(8).collect()
}

/// What is new about who somebody is.
fn known(
    name: &str,
    new: bool,
    before: Option<bool>,
    verified: bool,
    called_before: Option<&str>,
) -> Option<String> {
    match (before, verified, called_before) {
        (Some(false), true, _) => Some(format!("{name} is marked as verified.")),
        (Some(true), false, _) => Some(format!("{name} is not marked as verified any more.")),
        (Some(_), _, _) => None,
        (None, true, Some(other)) => Some(format!("{name} is verified, and was called {other} before.")),
        (None, true, None) => Some(format!("{name} is verified.")),
        (None, false, Some(other)) => Some(format!("{name} was called {other} before.")),
        (None, false, None) if new => {
            Some(format!("{name} is new to you; `verify {name}` shows words to make sure of each other."))
        }
        (None, false, None) => None,
    }
}

fn way_in(admission: WayIn) -> &'static str {
    match admission {
        WayIn::Open => "Whoever has a line or the password may come in.",
        WayIn::Knock => "Whoever wants to come in has to be admitted.",
        WayIn::Locked => "The group is locked: nobody may come in.",
    }
}

fn path_name(path: PathKind) -> &'static str {
    match path {
        PathKind::Direct => "direct",
        PathKind::Relayed => "relayed",
        PathKind::Lan => "local network",
    }
}

fn state(muted: bool, deafened: bool) -> &'static str {
    match (muted, deafened) {
        (_, true) => "deafened",
        (true, false) => "muted",
        (false, false) => "unmuted",
    }
}

fn own_state(muted: bool, deafened: bool) -> &'static str {
    match (muted, deafened) {
        (_, true) => "You hear nobody, and nobody hears you.",
        (true, false) => "You are muted.",
        (false, false) => "Your microphone is on.",
    }
}

/// The answer to `who`.
pub(super) fn who(snapshot: &Snapshot) -> String {
    if snapshot.members.is_empty() {
        return "Nobody else is here yet.".into();
    }
    snapshot.members.iter().map(who_line).collect::<Vec<_>>().join("\n")
}

fn who_line(member: &MemberView) -> String {
    let MemberView { id, name, presence, voice, talking, moderates, volume_db, verified } = member;
    let presence = match presence {
        Presence::Connecting => "connecting".to_string(),
        Presence::Lost { seconds } => format!("gone for {seconds} s"),
        Presence::Here { path, rtt_ms, buffer_ms, concealed_ms } => format!(
            "{}, round trip {rtt_ms:.0} ms, buffer {buffer_ms:.0} ms, {concealed_ms} ms made up",
            path_name(*path)
        ),
    };
    let doing = match (voice.muted || voice.deafened, talking) {
        (true, _) => format!(", {}", state(voice.muted, voice.deafened)),
        (false, true) => ", talking".into(),
        (false, false) => String::new(),
    };
    let volume = if *volume_db == 0.0 { String::new() } else { format!(", volume {volume_db:+} dB") };
    let mark = if *verified { ", verified" } else { "" };
    let moderator = if *moderates { ", moderator" } else { "" };
    format!("{name} ({}){mark}{moderator}: {presence}{doing}{volume}", id.short())
}

#[cfg(test)]
mod tests {
    use super::{LineView, who};
    use crate::session::event::{Event, PathKind};
    use crate::session::snapshot::{MemberView, Presence, Snapshot};
    use protocol::control::VoiceState;
    use protocol::id::PeerId;

    #[test]
    fn a_member_comes_goes_and_returns_in_sentences() {
        let mut view = LineView::default();
        let connected =
            Event::Connected { peer: "p".into(), name: "Ada".into(), path: PathKind::Lan, ms: 12 };
        let lost = Event::Lost { peer: "p".into(), reason: "nothing heard for 1.6 s".into() };
        let lines: Vec<_> = [&connected, &lost, &connected].map(|e| view.sentence(e).unwrap()).into();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn a_change_of_path_is_told_once_with_its_reason() {
        let mut view = LineView::default();
        let connected =
            Event::Connected { peer: "p".into(), name: "Ada".into(), path: PathKind::Relayed, ms: 300 };
        view.sentence(&connected);
        let path = |kind, reason: &str| Event::Path { peer: "p".into(), kind, reason: reason.into() };
        assert_eq!(view.sentence(&path(PathKind::Relayed, "a relay while none is found")), None);
        let direct = path(PathKind::Direct, "a direct path was found");
        assert_eq!(view.sentence(&direct).as_deref(), Some("Ada: direct (a direct path was found)."));
        assert_eq!(view.sentence(&direct), None);
    }

    #[test]
    fn who_says_how_everybody_is_heard() {
        let here = Presence::Here { path: PathKind::Direct, rtt_ms: 23.4, buffer_ms: 8.0, concealed_ms: 40 };
        let member = |name: &str, presence, talking, muted, volume_db| MemberView {
            id: PeerId([7; 32]),
            name: name.into(),
            presence,
            voice: VoiceState { muted, deafened: false },
            talking,
            moderates: name == "Ada",
            volume_db,
            verified: false,
        };
        let members = vec![
            member("Ada", here, true, false, 0.0),
            member("Bob", Presence::Lost { seconds: 3 }, false, true, -6.0),
            member("Eve", Presence::Connecting, false, false, 0.0),
        ];
        insta::assert_snapshot!(who(&Snapshot { members, ..Snapshot::default() }));
    }
}
