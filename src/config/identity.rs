//! The identity key: 32 random bytes, made at first use, readable by nobody else.

use super::{ConfigError, secret_file};
use data_encoding::HEXLOWER;
use protocol::identity::Identity;
use std::fs::{File, OpenOptions, TryLockError};
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
    let Some(text) = secret_file::read(path)? else { return make(path) };
    let bytes = HEXLOWER.decode(text.trim().as_bytes()).ok().map(Zeroizing::new);
    let seed = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok());
    seed.map(Zeroizing::new).ok_or_else(|| ConfigError::NoIdentity(path.to_owned()))
}

fn make(path: &Path) -> Result<Zeroizing<[u8; 32]>, ConfigError> {
    let seed = Zeroizing::new(crate::net::random::bytes::<32>());
    secret_file::make(path, &Zeroizing::new(HEXLOWER.encode(&*seed)))?;
    Ok(seed)
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
