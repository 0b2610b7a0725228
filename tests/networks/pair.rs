//! What two networks allow, and what two members in them did.

use super::{
    lab::{Lab, Nat},
    member::{HOST_HZ, Member},
    sound::{Heard, RATE, level, levels, longest_gap_ms},
};
use serde_json::{Value, json};
use std::{fmt, thread, time::Duration};

/// By then they are connected, or never.
const TO_CONNECT: Duration = Duration::from_secs(15);
/// By then the direct path was found, by chance too, if there is one.
const TO_DIRECT: Duration = Duration::from_secs(15);
/// So long one looks on where there is none, and listens where there is.
const AFTERWARDS: Duration = Duration::from_secs(3);

/// What is to become of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Direct,
    Relayed,
    /// By chance: when ports are foreseen on one side and guessed on the other.
    Either,
}

/// What two networks allow; it does not matter which of them is the host's.
pub(crate) fn way(one: Nat, other: Nat) -> Way {
    let is_blocked = |nat| matches!(nat, Nat::UdpBlocked | Nat::OnlyTls);
    let is_symmetric = |nat| matches!(nat, Nat::SymmetricRandom | Nat::SymmetricSequential);
    if is_blocked(one) || is_blocked(other) {
        Way::Relayed
    } else if is_symmetric(one) && is_symmetric(other) {
        if one == Nat::SymmetricRandom && other == Nat::SymmetricRandom { Way::Relayed } else { Way::Either }
    } else {
        Way::Direct
    }
}

/// What a pair did, as the joiner saw it; times in ms.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) joiner: Nat,
    pub(crate) host: Nat,
    /// From the start of the joiner's process.
    pub(crate) connected_ms: Option<f64>,
    /// From the start of the joiner's process to the first sound of the host in its speaker.
    pub(crate) voice_ms: Option<f64>,
    /// The same since the joiner's socket was open: about QUIC's first flight.
    pub(crate) voice_after_open_ms: Option<f64>,
    /// From the start of the joiner's process.
    pub(crate) direct_ms: Option<f64>,
    /// From connected, through the relay, to direct. None for those who met directly.
    pub(crate) switch_ms: Option<f64>,
    /// The longest hole in the joiner's recording, after the first sound.
    pub(crate) gap_ms: Option<f64>,
    /// The joiner's and the host's at the end.
    pub(crate) kinds: [Option<String>; 2],
    /// Both members' events, for whoever asks why.
    pub(crate) story: String,
}

impl Outcome {
    /// What is not as it should be.
    pub(crate) fn wrong(&self) -> Option<&'static str> {
        let are =
            |what: &[&str]| self.kinds.iter().flatten().filter(|kind| what.contains(&kind.as_str())).count();
        match way(self.joiner, self.host) {
            _ if self.connected_ms.is_none() => Some("not connected"),
            _ if self.voice_ms.is_none() => Some("nothing heard"),
            Way::Direct if are(&["direct"]) != 2 => Some("not direct on both sides"),
            Way::Relayed if are(&["relayed"]) != 2 => Some("not relayed on both sides"),
            Way::Either if are(&["direct", "relayed"]) != 2 => Some("on no path"),
            Way::Direct | Way::Relayed | Way::Either => None,
        }
    }

    /// As it is written to a file.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "joiner": format!("{:?}", self.joiner),
            "host": format!("{:?}", self.host),
            "connected_ms": self.connected_ms,
            "voice_ms": self.voice_ms,
            "voice_after_open_ms": self.voice_after_open_ms,
            "direct_ms": self.direct_ms,
            "switch_ms": self.switch_ms,
            "gap_ms": self.gap_ms,
            "kinds": self.kinds,
            "wrong": self.wrong(),
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (joiner, host) = (format!("{:?}", self.joiner), format!("{:?}", self.host));
        write!(f, "{joiner:>19} to {host:<19}")?;
        let ms = [self.connected_ms, self.voice_ms, self.direct_ms, self.gap_ms];
        for (what, ms) in ["connected", "voice", "direct", "gap"].iter().zip(ms) {
            let ms = ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.0}"));
            write!(f, " {what} {ms:>5}")?;
        }
        let kind = |index: usize| self.kinds[index].as_deref().unwrap_or("-");
        write!(f, "  {:>7}/{:<7}", kind(0), kind(1))?;
        self.wrong().map_or(Ok(()), |wrong| write!(f, " WRONG: {wrong}"))
    }
}

/// Lets a member in one home call one in another.
pub(crate) fn call(lab: &Lab, joiner: usize, host: usize) -> Outcome {
    let dir = tempfile::tempdir().expect("a directory");
    let (here, there) = (&lab.homes[joiner], &lab.homes[host]);
    let (hosting, ticket) = Member::host(there.host(), dir.path(), &[]);
    let joining = Member::join(here.host(), dir.path(), &ticket, &[]);
    let start = joining.started_us;
    let since = |from: u64, at: u64| (at as f64 - from as f64) / 1000.0;
    let connected = joining.look("connected", |_| true, TO_CONNECT);
    let direct = |said: &Value| said["kind"] == "direct" || said["path"] == "direct";
    let patience = match way(here.nat, there.nat) {
        Way::Direct => TO_DIRECT,
        Way::Relayed | Way::Either => AFTERWARDS,
    };
    let met_directly = connected.clone().filter(|(_, said)| direct(said));
    let switched = match (&connected, &met_directly) {
        (Some(_), None) => joining.look("path", direct, patience),
        (Some(_), Some(_)) | (None, _) => None,
    };
    let switch_ms = switched.as_ref().zip(connected.as_ref()).map(|((at, _), (from, _))| since(*from, *at));
    let to_direct = met_directly.or(switched);
    if to_direct.is_some() {
        // The other side follows.
        let _ = hosting.look("path", direct, AFTERWARDS);
    }
    let mut outcome = Outcome {
        joiner: here.nat,
        host: there.nat,
        connected_ms: connected.as_ref().map(|(at, _)| since(start, *at)),
        voice_ms: None,
        voice_after_open_ms: None,
        direct_ms: to_direct.map(|(at, _)| since(start, at)),
        switch_ms,
        gap_ms: None,
        kinds: [None, None],
        story: String::new(),
    };
    if connected.is_some() {
        thread::sleep(AFTERWARDS);
    }
    outcome.kinds = [joining.kind(), hosting.kind()];
    outcome.story = format!("{}{}", joining.story(), hosting.story());
    let opened = joining.look("ready", |_| true, Duration::ZERO);
    if connected.is_some() {
        let heard = joining.leave();
        if let Some((first, gap_ms)) = first_sound(&heard, HOST_HZ) {
            let at = heard.moment(first);
            outcome.voice_ms = Some(since(start, at));
            outcome.voice_after_open_ms = opened.map(|(opened, _)| since(opened, at));
            outcome.gap_ms = Some(gap_ms);
        }
    }
    outcome
}

/// The first sample of a tone, and the longest hole in it afterwards, in ms.
fn first_sound(heard: &Heard, hz: f64) -> Option<(usize, f64)> {
    let last_seconds = heard.samples.len().saturating_sub(2 * RATE as usize);
    let usual = level(&heard.samples[last_seconds..], hz);
    if usual < 0.02 {
        return None;
    }
    let window = RATE as usize / 50;
    let first = levels(&heard.samples, hz).iter().position(|level| *level >= usual / 2.0)? * window;
    // The end is cut off: the host may hear of our leaving before our speaker stops.
    let end = heard.samples.len().saturating_sub(RATE as usize / 4);
    let gap_ms = if first < end { longest_gap_ms(&heard.samples[first..end], hz) } else { 0 };
    Some((first, gap_ms as f64))
}
