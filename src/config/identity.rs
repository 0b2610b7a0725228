//! The identity key: 32 random bytes, made at first use, readable by nobody else.

use super::ConfigError;
use data_encoding::HEXLOWER;
use protocol::identity::Identity;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// An identity, and the lock that keeps a second process from using it at the same time.
#[derive(Debug)]
pub struct IdentityStore {
    /// Who we are.
    pub identity: Arc<Identity>,
    /// Whether this is a one-time identity, because another process on this machine uses the stored one.
    pub borrowed: bool,
    _lock: Option<File>,
}

/// Opens the identity in `dir`, making folder and identity at first use. When another roundtable is running
/// with it, this one gets an identity for one call: two members with one key could not tell each other apart.
pub fn open_identity(dir: &Path) -> Result<IdentityStore, ConfigError> {
    std::fs::create_dir_all(dir).map_err(|error| ConfigError::file("create", dir, &error))?;
    let lock_path = dir.join("lock");
    let lock = OpenOptions::new().create(true).write(true).truncate(false).open(&lock_path);
    let lock = lock.map_err(|error| ConfigError::file("open", &lock_path, &error))?;
    match lock.try_lock() {
        Ok(()) => {
            let seed = read_or_make(&dir.join("identity"))?;
            Ok(IdentityStore {
                identity: Arc::new(Identity::from_seed(&seed)),
                borrowed: false,
                _lock: Some(lock),
            })
        }
        Err(TryLockError::WouldBlock) => {
            let seed = Zeroizing::new(crate::net::random::bytes());
            Ok(IdentityStore { identity: Arc::new(Identity::from_seed(&seed)), borrowed: true, _lock: None })
        }
        Err(TryLockError::Error(error)) => Err(ConfigError::file("lock", &lock_path, &error)),
    }
}

fn read_or_make(path: &Path) -> Result<Zeroizing<[u8; 32]>, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let text = Zeroizing::new(text);
            refuse_open_permissions(path)?;
            let bytes = HEXLOWER.decode(text.trim().as_bytes()).ok().map(Zeroizing::new);
            let seed = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok());
            seed.map(Zeroizing::new).ok_or_else(|| ConfigError::NoIdentity(path.to_owned()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => make(path),
        Err(error) => Err(ConfigError::file("read", path, &error)),
    }
}

/// Makes an identity. It appears under its name only once it is whole: a crash on the way would otherwise leave a
/// file that holds none and that nobody may overwrite.
fn make(path: &Path) -> Result<Zeroizing<[u8; 32]>, ConfigError> {
    let seed = Zeroizing::new(crate::net::random::bytes::<32>());
    let text = Zeroizing::new(HEXLOWER.encode(&*seed));
    let draft = path.with_extension("new");
    // A crash may have left one; only who holds the lock gets here.
    let _ = std::fs::remove_file(&draft);
    let made = write_draft(&draft, &text).and_then(|()| publish(&draft, path));
    let _ = std::fs::remove_file(&draft);
    made.map_err(|error| ConfigError::file("write", path, &error))?;
    Ok(seed)
}

fn write_draft(draft: &Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(draft)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}

/// Gives the draft its name, unless something else has it.
fn publish(draft: &Path, path: &Path) -> std::io::Result<()> {
    match std::fs::hard_link(draft, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(error),
        Ok(()) => {}
        // A file system without hard links. Nothing had the name a moment ago, and we hold the lock.
        Err(_) => std::fs::rename(draft, path)?,
    }
    // The name must survive a power failure too; not every system can sync a folder.
    if let Some(folder) = path.parent().and_then(|folder| File::open(folder).ok()) {
        let _ = folder.sync_all();
    }
    Ok(())
}

#[cfg(unix)]
fn refuse_open_permissions(path: &Path) -> Result<(), ConfigError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = std::fs::metadata(path).map_err(|error| ConfigError::file("read", path, &error))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(ConfigError::TooOpen { path: path.to_owned(), mode });
    }
    Ok(())
}

/// Elsewhere the user's own folders are private by default.
#[cfg(not(unix))]
fn refuse_open_permissions(_path: &Path) -> Result<(), ConfigError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{make, open_identity};
    use crate::config::ConfigError;

    #[test]
    fn an_identity_stays_and_a_second_process_gets_another() {
        let dir = tempfile::tempdir().unwrap();
        let first = open_identity(dir.path()).unwrap();
        let second = open_identity(dir.path()).unwrap();
        assert!(!first.borrowed && second.borrowed);
        assert_ne!(first.identity.peer_id(), second.identity.peer_id());
        let id = first.identity.peer_id();
        drop(first);
        assert_eq!(open_identity(dir.path()).unwrap().identity.peer_id(), id);
    }

    #[test]
    fn a_crash_while_an_identity_was_made_leaves_nothing_in_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let draft = dir.path().join("identity.new");
        std::fs::write(&draft, "half of an ident").unwrap();
        let id = open_identity(dir.path()).unwrap().identity.peer_id();
        assert!(!draft.exists());
        assert_eq!(open_identity(dir.path()).unwrap().identity.peer_id(), id);
    }

    #[test]
    fn an_identity_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity");
        std::fs::write(&path, "somebody").unwrap();
        assert!(matches!(make(&path), Err(ConfigError::File { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "somebody");
        assert!(!dir.path().join("identity.new").exists());
    }

    #[cfg(unix)]
    #[test]
    fn an_identity_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        drop(open_identity(dir.path()).unwrap());
        let path = dir.path().join("identity");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(open_identity(dir.path()), Err(ConfigError::TooOpen { .. })));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "nonsense").unwrap();
        assert!(matches!(open_identity(dir.path()), Err(ConfigError::NoIdentity(_))));
    }
}
