//! Who was met before: trust on first use, kept across calls.
//!
//! One TOML table `[[peer]]` for each, in `known_peers` beside the identity. A name that is known under another id is
//! what this file is for; a file that cannot be understood is therefore never overwritten, since that
//! would make everybody new. [`KnownPeers`] is what is known, without I/O; [`read`] and [`update`] are the file.
//! Processes that share a data directory take turns by a lock and apply their changes to what the file holds by then.
//!
//! Left out: names that merely look alike. People are told apart by their id.

use super::ConfigError;
use data_encoding::BASE32_NOPAD;
use protocol::id::PeerId;
use protocol::name::DisplayName;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};
use toml::Spanned;

/// The file's name in the data directory.
pub const KNOWN_PEERS_FILE: &str = "known_peers";

/// Peers that are remembered. Beyond it the one that was not seen for longest is forgotten, unless it is verified.
pub const KNOWN_PEERS_MAX: usize = 1024;

/// Several times what the longest names need.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Another process needs milliseconds for its turn; one that was stopped within it is not waited for.
const TURN_DEADLINE: Duration = Duration::from_secs(2);
const TURN_PAUSE: Duration = Duration::from_millis(10);

/// One person as remembered. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPeer {
    /// What it called itself.
    pub name: String,
    /// When it was met first.
    pub first_seen: u64,
    /// When it was met last.
    pub last_seen: u64,
    /// When its words were compared, if they were.
    pub verified: Option<u64>,
}

/// Everybody who is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KnownPeers {
    peers: BTreeMap<PeerId, KnownPeer>,
}

/// Something that is to be remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Somebody was met.
    Met {
        /// Who.
        peer: PeerId,
        /// What it calls itself.
        name: String,
        /// When.
        at: u64,
    },
    /// Somebody's words were compared, or the mark is taken away.
    Marked {
        /// Who.
        peer: PeerId,
        /// What it calls itself.
        name: String,
        /// When.
        at: u64,
        /// Whether the mark is set.
        verified: bool,
    },
}

/// What is remembered of somebody who is met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acquaintance {
    /// What was known before, if anything was.
    pub before: Option<KnownPeer>,
    /// Somebody else who had this name first, so that this may be an impostor.
    pub namesake: Option<PeerId>,
}

impl KnownPeers {
    /// What is known of one peer.
    pub fn get(&self, peer: PeerId) -> Option<&KnownPeer> {
        self.peers.get(&peer)
    }

    /// Whether the peer's words were compared.
    pub fn is_verified(&self, peer: PeerId) -> bool {
        self.get(peer).is_some_and(|known| known.verified.is_some())
    }

    /// What there is to say of a peer that is met under `name`. To be asked before the meeting is remembered.
    pub fn acquaintance(&self, peer: PeerId, name: &str) -> Acquaintance {
        let before = self.get(peer).cloned();
        let namesake = if self.is_verified(peer) { None } else { self.first_of_name(peer, name) };
        Acquaintance { before, namesake }
    }

    /// Whoever had the name before `peer` had it.
    fn first_of_name(&self, peer: PeerId, name: &str) -> Option<PeerId> {
        let since = self.get(peer).filter(|known| same_name(&known.name, name)).map(|known| known.first_seen);
        let others = self.peers.iter().filter(|(id, known)| **id != peer && same_name(&known.name, name));
        let first = others.min_by_key(|(_, known)| (known.verified.is_none(), known.first_seen));
        let earlier = first.filter(|(_, known)| {
            known.verified.is_some() || since.is_none_or(|since| known.first_seen <= since)
        });
        earlier.map(|(id, _)| *id)
    }

    /// Remembers.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Met { peer, name, at } => self.meet(*peer, name, *at),
            Change::Marked { peer, name, at, verified } => {
                self.meet(*peer, name, *at);
                if let Some(known) = self.peers.get_mut(peer) {
                    known.verified = verified.then_some(*at);
                    // Who is vouched for may have the name.
                    if *verified {
                        known.name.clone_from(name);
                    }
                }
                self.forget_beyond(KNOWN_PEERS_MAX);
            }
        }
    }

    fn meet(&mut self, peer: PeerId, name: &str, at: u64) {
        // Somebody else's name is not taken over: whoever comes with it again is again told of.
        let taken = !self.is_verified(peer) && self.first_of_name(peer, name).is_some();
        let new = KnownPeer { name: name.to_owned(), first_seen: at, last_seen: at, verified: None };
        let known = self.peers.entry(peer).or_insert(new);
        known.last_seen = known.last_seen.max(at);
        if !taken {
            known.name = name.to_owned();
        }
        self.forget_beyond(KNOWN_PEERS_MAX);
    }

    fn forget_beyond(&mut self, most: usize) {
        while self.peers.len() > most {
            let unverified = self.peers.iter().filter(|(_, known)| known.verified.is_none());
            let oldest = unverified.min_by_key(|(_, known)| known.last_seen).map(|(id, _)| *id);
            // All are verified: the person made each mark, but the file is bounded all the same.
            let oldest = oldest
                .or_else(|| self.peers.iter().min_by_key(|(_, known)| known.last_seen).map(|(id, _)| *id));
            self.peers.remove(&oldest.expect("a table over its bound is not empty"));
        }
    }

    /// The file's text.
    fn to_toml(&self) -> String {
        let mut text = String::from(
            "# Whom roundtable met. Times are Unix seconds; `verified` says when words were compared.\n",
        );
        for (id, KnownPeer { name, first_seen, last_seen, verified }) in &self.peers {
            // A name on the screen has no control characters, so only these two need care.
            let name = DisplayName::new(name).to_string().replace('\\', "\\\\").replace('"', "\\\"");
            let _ = write!(
                text,
                "\n[[peer]]\nid = \"{id}\"\nname = \"{name}\"\nfirst_seen = {first_seen}\nlast_seen = {last_seen}\n"
            );
            if let Some(verified) = verified {
                let _ = writeln!(text, "verified = {verified}");
            }
        }
        text
    }

    fn from_toml(text: &str) -> Result<Self, (usize, String)> {
        let written: Written = toml::from_str(text)
            .map_err(|e| (e.span().map_or(0, |span| span.start), e.message().to_owned()))?;
        let mut peers = BTreeMap::new();
        for WrittenPeer { id, name, first_seen, last_seen, verified } in written.peer {
            let at = id.span().start;
            let id = peer_id(id.get_ref()).ok_or_else(|| (at, "not the id of a peer".to_owned()))?;
            let name = DisplayName::new(&name).to_string();
            if peers.insert(id, KnownPeer { name, first_seen, last_seen, verified }).is_some() {
                return Err((at, "this peer is there twice".to_owned()));
            }
        }
        let mut known = Self { peers };
        known.forget_beyond(KNOWN_PEERS_MAX);
        Ok(known)
    }
}

/// Case makes no difference to the ear.
fn same_name(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

fn peer_id(text: &str) -> Option<PeerId> {
    let bytes = BASE32_NOPAD.decode(text.to_uppercase().as_bytes()).ok()?;
    Some(PeerId(bytes.try_into().ok()?))
}

/// Keys of later versions are skipped.
#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    peer: Vec<WrittenPeer>,
}

#[derive(Deserialize)]
struct WrittenPeer {
    id: Spanned<String>,
    name: String,
    first_seen: u64,
    last_seen: u64,
    verified: Option<u64>,
}

/// Reads the file; nobody is known when there is none.
pub fn read(path: &Path) -> Result<KnownPeers, ConfigError> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(KnownPeers::default()),
        Err(error) => return Err(ConfigError::file("read", path, &error)),
    }
    let damaged = |reason| ConfigError::Mistake { path: path.to_owned(), reason };
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(damaged(format!("more than {FILE_BYTES_MAX} bytes")));
    }
    let line_of = |at: usize| 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count();
    let text = std::str::from_utf8(&bytes)
        .map_err(|error| damaged(format!("line {}: not UTF-8", line_of(error.valid_up_to()))))?;
    KnownPeers::from_toml(text).map_err(|(at, reason)| damaged(format!("line {}: {reason}", line_of(at))))
}

/// Applies a change to what the file holds now, also when several processes do so at once. The file is replaced as a
/// whole: a crash leaves the old one or the new one.
pub fn update(path: &Path, change: &Change) -> Result<(), ConfigError> {
    let failed = |error: io::Error| ConfigError::file("write", path, &error);
    let _turn = turn(&path.with_extension("lock")).map_err(failed)?;
    let mut known = read(path)?;
    known.apply(change);
    let draft = path.with_extension("new");
    // A crash may have left one, with who knows what permissions.
    let _ = std::fs::remove_file(&draft);
    write_private(&draft, &known.to_toml()).and_then(|()| std::fs::rename(&draft, path)).map_err(failed)
}

fn turn(path: &Path) -> io::Result<File> {
    let lock = OpenOptions::new().create(true).write(true).truncate(false).open(path)?;
    let started = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) if started.elapsed() < TURN_DEADLINE => {
                std::thread::sleep(TURN_PAUSE)
            }
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::new(ErrorKind::TimedOut, "another roundtable does not let go of it"));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::{Change, KNOWN_PEERS_MAX, KnownPeers, read, update};
    use crate::config::ConfigError;
    use protocol::id::PeerId;

    fn peer(n: u16) -> PeerId {
        let mut id = [7; 32];
        id[..2].copy_from_slice(&n.to_be_bytes());
        PeerId(id)
    }

    fn met(n: u16, name: &str, at: u64) -> Change {
        Change::Met { peer: peer(n), name: name.into(), at }
    }

    fn marked(n: u16, name: &str, at: u64, verified: bool) -> Change {
        Change::Marked { peer: peer(n), name: name.into(), at, verified }
    }

    fn known(changes: &[Change]) -> KnownPeers {
        let mut known = KnownPeers::default();
        changes.iter().for_each(|change| known.apply(change));
        known
    }

    #[test]
    fn what_is_remembered_is_read_again_by_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("known_peers");
        assert_eq!(read(&path).unwrap(), KnownPeers::default());
        let changes = [met(1, r#"A "B" \n 美"#, 5), marked(2, "Bob", 6, true), met(2, "Bob", 9)];
        changes.iter().for_each(|change| update(&path, change).unwrap());
        assert_eq!(read(&path).unwrap(), known(&changes));
        let bob = read(&path).unwrap().get(peer(2)).cloned().unwrap();
        assert_eq!((bob.first_seen, bob.last_seen, bob.verified), (6, 9, Some(6)));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_name_known_under_another_id_is_told_until_somebody_vouches() {
        let mut all = known(&[met(1, "Ada", 5)]);
        assert_eq!(all.acquaintance(peer(1), "ada").namesake, None);
        assert_eq!(all.acquaintance(peer(2), "aDA").namesake, Some(peer(1)));
        all.apply(&met(2, "aDA", 6));
        assert_eq!(all.acquaintance(peer(2), "Ada").namesake, Some(peer(1)), "also the second time");
        assert_eq!(all.acquaintance(peer(1), "Ada").namesake, None, "who had it first is not suspected");
        all.apply(&marked(2, "Ada", 7, true));
        assert_eq!(all.acquaintance(peer(2), "Ada").namesake, None);
        assert_eq!(all.acquaintance(peer(1), "Ada").namesake, Some(peer(2)), "now the other one is in doubt");
        all.apply(&marked(2, "Ada", 8, false));
        assert_eq!(all.acquaintance(peer(2), "Ada").namesake, Some(peer(1)));
    }

    #[test]
    fn a_known_peer_does_not_slip_into_the_name_of_another() {
        let mut all = known(&[met(2, "Bob", 1), met(1, "Ada", 5)]);
        for at in [6, 7] {
            assert_eq!(all.acquaintance(peer(2), "Ada").namesake, Some(peer(1)), "at {at}");
            all.apply(&met(2, "Ada", at));
        }
        assert_eq!(all.get(peer(2)).unwrap().name, "Bob");
        all.apply(&met(2, "Carl", 8));
        assert_eq!(all.get(peer(2)).unwrap().name, "Carl");
    }

    #[test]
    fn the_table_is_bounded_and_forgets_no_verified_peer_first() {
        let mut all = known(&[marked(0, "Ada", 0, true)]);
        for n in 1..=KNOWN_PEERS_MAX as u16 {
            all.apply(&met(n, &format!("peer {n}"), u64::from(n)));
        }
        assert_eq!(all.peers.len(), KNOWN_PEERS_MAX);
        assert!(all.is_verified(peer(0)) && all.get(peer(1)).is_none() && all.get(peer(2)).is_some());
    }

    #[test]
    fn a_damaged_file_is_told_by_its_line_and_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("known_peers");
        let id = peer(1);
        let entry =
            |id: &str| format!("[[peer]]\nid = \"{id}\"\nname = \"x\"\nfirst_seen = 1\nlast_seen = 1\n");
        let good = entry(&id.to_string());
        for (text, complaint) in [
            (format!("{good}\n[[peer]]\nid = 5\n").into_bytes(), "line 8: "),
            (format!("{good}rubbish\n").into_bytes(), "line 6: "),
            (entry("abc").into_bytes(), "line 2: not the id"),
            (format!("{good}{good}").into_bytes(), "line 7: this peer is there twice"),
            (b"# fine\n\xff\xfe".to_vec(), "line 2: not UTF-8"),
            (vec![b'#'; 2 << 20], "more than"),
        ] {
            std::fs::write(&path, &text).unwrap();
            for error in [read(&path).unwrap_err(), update(&path, &met(1, "Ada", 5)).unwrap_err()] {
                assert!(
                    matches!(&error, ConfigError::Mistake { reason, .. } if reason.contains(complaint)),
                    "{error}"
                );
            }
            assert_eq!(std::fs::read(&path).unwrap(), text, "{complaint}");
        }
    }

    #[test]
    fn what_several_write_at_once_is_all_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("known_peers");
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    for n in 0..8 {
                        update(path, &met(writer * 8 + n, &format!("peer {writer} {n}"), 5)).unwrap();
                    }
                });
            }
        });
        assert_eq!(read(&path).unwrap().peers.len(), 32);
        let left: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "the file and its lock: {left:?}");
    }
}
