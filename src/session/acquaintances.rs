//! Whom we knew before this call, and how people make sure of each other.
//!
//! What is known decides at once, from memory; a thread of its own writes the file, so that a slow disk does not hold
//! up the call. A file that cannot be used is told of once, and the call goes on without it.

use super::Session;
use super::doors::now_unix;
use super::event::Event;
use crate::config::known_peers::{Change, KnownPeers, read, update};
use protocol::id::PeerId;
use protocol::verification::Digest;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// What waits for the disk. More meetings than members at once; one that finds no room is met again.
const WRITES_QUEUE: usize = 128;

/// How long the end of a call waits for the disk.
const LAST_WRITES: Duration = Duration::from_secs(1);

/// Who is remembered, in memory and, if it can be, on disk.
pub(super) struct Acquaintances {
    known: KnownPeers,
    writes: Option<mpsc::Sender<Write>>,
    /// One phrase at a time: each takes 64 MiB for a moment.
    phrases: Arc<Semaphore>,
}

enum Write {
    Change(Change),
    Done(oneshot::Sender<()>),
}

impl Acquaintances {
    /// Reads the file, if there is to be one.
    pub(super) fn open(path: Option<PathBuf>, events: &mpsc::Sender<Event>) -> Self {
        let phrases = Arc::new(Semaphore::new(1));
        let Some(path) = path else {
            return Self { known: KnownPeers::default(), writes: None, phrases };
        };
        match read(&path) {
            Ok(known) => Self { known, writes: Some(spawn_writer(path, events.clone())), phrases },
            Err(error) => {
                tell(events, error.to_string());
                Self { known: KnownPeers::default(), writes: None, phrases }
            }
        }
    }

    pub(super) fn is_verified(&self, peer: PeerId) -> bool {
        self.known.is_verified(peer)
    }

    fn remember(&mut self, change: Change) {
        self.known.apply(&change);
        if let Some(writes) = &self.writes {
            let _ = writes.try_send(Write::Change(change));
        }
    }

    /// Waits until all is written, though not for ever.
    pub(super) async fn settle(&mut self) {
        let Some(writes) = self.writes.take() else { return };
        let (done, written) = oneshot::channel();
        let _ = tokio::time::timeout(LAST_WRITES, async {
            if writes.send(Write::Done(done)).await.is_ok() {
                let _ = written.await;
            }
        })
        .await;
    }
}

fn tell(events: &mpsc::Sender<Event>, message: String) {
    let hint = "the call goes on without it; mend or move the file away, then start anew".into();
    let _ = events.try_send(Event::Error { code: "known_peers", message, hint });
}

fn spawn_writer(path: PathBuf, events: mpsc::Sender<Event>) -> mpsc::Sender<Write> {
    let (writes, mut written) = mpsc::channel(WRITES_QUEUE);
    // The printer ends when nobody holds a sender of events: this one goes when the session does.
    std::thread::spawn(move || {
        let mut told = false;
        while let Some(write) = written.blocking_recv() {
            match write {
                Write::Change(change) => match update(&path, &change) {
                    Ok(()) => {}
                    Err(error) if !told => {
                        told = true;
                        tell(&events, error.to_string());
                    }
                    Err(error) => tracing::debug!(%error, "known peers"),
                },
                // Who asked may have gone.
                Write::Done(done) => drop(done.send(())),
            }
        }
    });
    writes
}

impl Session {
    /// Somebody's connection was authenticated: tells who that is to us, and remembers it.
    pub(super) fn on_met(&mut self, peer: PeerId, name: &str) {
        let met = self.acquaintances.known.acquaintance(peer, name);
        let renamed = met.before.as_ref().filter(|before| before.name != name);
        self.emit(Event::Known {
            peer: peer.to_string(),
            name: name.to_owned(),
            first_seen: met.before.as_ref().map(|before| before.first_seen),
            verified: self.acquaintances.is_verified(peer),
            called_before: renamed.map(|before| before.name.clone()),
        });
        if let Some(known_as) = met.namesake {
            let (peer, known_as) = (peer.to_string(), known_as.to_string());
            self.emit(Event::KeyChanged { peer, name: name.to_owned(), known_as });
        }
        self.acquaintances.remember(Change::Met { peer, name: name.to_owned(), at: now_unix() });
    }

    /// Sets or takes away the mark that a member's words were compared.
    pub(super) fn mark(&mut self, who: &str, verified: bool) {
        let Some(peer) = self.find(who) else { return };
        let name = self.name_of(peer);
        let change = Change::Marked { peer, name: name.clone(), at: now_unix(), verified };
        self.acquaintances.remember(change);
        self.emit(Event::Known {
            peer: peer.to_string(),
            name,
            first_seen: self.acquaintances.known.get(peer).map(|known| known.first_seen),
            verified,
            called_before: None,
        });
    }

    /// Tells the words to compare with a member; they are made beside the call, which does not wait for them.
    pub(super) fn tell_words(&self, who: &str) {
        let Some(peer) = self.find(who) else { return };
        let name = self.name_of(peer);
        let Some(hash) = self.members.get(&peer).and_then(|member| member.handshake_hash()) else {
            return self.emit(Event::Error {
                code: "not_connected",
                message: format!("{name} is not connected, so there are no words to compare"),
                hint: "try again when they are here".into(),
            });
        };
        let members: Vec<PeerId> =
            self.doors.membership(|membership| membership.members.keys().copied().collect());
        let pair = Digest::of_pair(&hash, self.me(), peer);
        let group = Digest::of_group(super::group_of(&self.doors), members);
        let verified = self.acquaintances.is_verified(peer);
        let (events, phrases) = (self.events.clone(), self.acquaintances.phrases.clone());
        tokio::spawn(async move {
            let Ok(_turn) = phrases.acquire().await else { return };
            let made = tokio::task::spawn_blocking(move || (pair.phrase(), group.phrase())).await;
            let Ok((words, group_words)) = made else { return };
            let (words, group_words) = (words.to_string(), group_words.to_string());
            let words = Event::Words { peer: peer.to_string(), name, words, group_words, verified };
            let _ = events.try_send(words);
        });
    }
}
