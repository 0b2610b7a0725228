//! A call that stands, a fault in it, and how long nobody heard anything.

use super::{
    lab::{Lab, Namespace},
    member::{HOST_HZ, JOINER_HZ, Member, SOON},
    sound::{level, longest_below_ms, now_us},
};
use std::{path::Path, thread, time::Duration};

/// Two members who hear each other.
pub(crate) struct Standing {
    pub(crate) host: Member,
    pub(crate) joiner: Member,
}

/// What a fault did to the host's ears and the joiner's.
#[derive(Debug, Clone)]
pub(crate) struct Harm {
    /// The longest hole in what the speaker played.
    pub(crate) silence_ms: [u64; 2],
    /// Speech made up for what had not come. Concealment keeps a steady tone sounding, so this is the honest one.
    pub(crate) made_up_ms: [u64; 2],
    /// Somebody was given up.
    pub(crate) is_lost: bool,
}

impl Harm {
    /// The worst of all.
    #[track_caller]
    pub(crate) fn worst_ms(&self) -> u64 {
        assert!(!self.is_lost, "nobody is lost: {self:?}");
        self.silence_ms.into_iter().chain(self.made_up_ms).max().unwrap_or_default()
    }
}

impl Standing {
    /// Lets the last home's host be called by the first home's, and waits until both are on this kind of path and
    /// have settled there.
    pub(crate) fn new(lab: &Lab, dir: &Path, kind: &str, options: &[&str]) -> Self {
        let last = lab.homes.len() - 1;
        Self::between(lab.homes[0].host(), lab.homes[last].host(), dir, kind, options)
    }

    /// The same with any two hosts, the joiner's first.
    pub(crate) fn between(
        here: &Namespace,
        there: &Namespace,
        dir: &Path,
        kind: &str,
        options: &[&str],
    ) -> Self {
        let (host, ticket) = Member::host(there, dir, options);
        let joiner = Member::join(here, dir, &ticket, options);
        let standing = Self { host, joiner };
        for member in standing.both() {
            member.wait("connected", |_| true, SOON);
            if member.kind().as_deref() != Some(kind) {
                member.wait("path", |said| said["kind"] == kind, SOON);
            }
        }
        // Until the second best path is known to work as well, and the jitter buffer has found its depth.
        thread::sleep(Duration::from_secs(4));
        standing
    }

    pub(crate) fn both(&self) -> [&Member; 2] {
        [&self.host, &self.joiner]
    }

    /// Waits until both are on this kind of path, in what comes after the last [`Member::forget`].
    #[track_caller]
    pub(crate) fn wait_for_path(&self, kind: &str, within: Duration) {
        for member in self.both() {
            member.wait("path", |said| said["kind"] == kind, within);
        }
    }

    /// Lets the fault happen and `meanwhile` pass. The call ends, and its recordings tell.
    #[track_caller]
    pub(crate) fn suffer(self, fault: impl FnOnce(), meanwhile: impl FnOnce(&Self)) -> Harm {
        let before = self.both().map(Member::concealed_ms);
        self.both().into_iter().for_each(Member::forget);
        let from = now_us();
        fault();
        meanwhile(&self);
        let to = now_us();
        // The figures of the last second.
        thread::sleep(Duration::from_millis(1_100));
        let after = self.both().map(Member::concealed_ms);
        let is_lost =
            self.both().iter().any(|member| member.look("lost", |_| true, Duration::ZERO).is_some());
        if is_lost {
            self.both().iter().for_each(|member| println!("{}", member.story()));
        }
        let Self { host, joiner } = self;
        // The joiner goes last, and so hears nothing of the host any more: its sound is measured up to `to` only.
        let silence_ms = [(host, JOINER_HZ), (joiner, HOST_HZ)].map(|(member, hz)| {
            let heard = member.leave();
            let usual = level(heard.between(from - 2_000_000, from), hz);
            longest_below_ms(heard.between(from, to), hz, usual / 2.0) as u64
        });
        let made_up_ms = [0, 1].map(|index| after[index].saturating_sub(before[index]));
        Harm { silence_ms, made_up_ms, is_lost }
    }
}
