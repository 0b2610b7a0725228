//! What is kept on disk: the configuration file, the identity, and other secrets.
//!
//! Precedence: command line, then environment, then file, then default.

mod file;
mod identity;
pub mod known_peers;
pub mod secret_file;

pub use file::{ConfigFile, load};
pub use identity::{IdentityStore, open_identity};

use etcetera::BaseStrategy;
use std::path::{Path, PathBuf};

/// A file or folder that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The system did not let us.
    #[error("cannot {action} {}: {reason}", path.display())]
    File {
        /// `read`, `write` and the like.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The configuration file has a mistake.
    #[error("{}: {reason}", path.display())]
    Mistake {
        /// Which file.
        path: PathBuf,
        /// Line and mistake.
        reason: String,
    },
    /// The identity can be read by other people on this machine.
    #[error("{} can be read by others on this machine (mode {mode:03o}); run: chmod 600 {}", path.display(), path.display())]
    TooOpen {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The identity file holds something else.
    #[error("{} holds no identity; restore it, or move it away to get a new one", .0.display())]
    NoIdentity(PathBuf),
    /// There is no home directory.
    #[error("this user has no home directory; name a folder with --data-dir")]
    NoHome,
}

impl ConfigError {
    fn file(action: &'static str, path: &Path, reason: &std::io::Error) -> Self {
        Self::File { action, path: path.to_owned(), reason: reason.to_string() }
    }
}

/// Where identity and known peers are kept unless `--data-dir` says otherwise.
pub fn default_data_dir() -> Result<PathBuf, ConfigError> {
    let base = etcetera::choose_base_strategy().map_err(|_| ConfigError::NoHome)?;
    Ok(base.data_dir().join("roundtable"))
}

/// Where the configuration file is unless `--config` says otherwise.
pub fn default_config_file() -> Option<PathBuf> {
    let base = etcetera::choose_base_strategy().ok()?;
    Some(base.config_dir().join("roundtable").join("config.toml"))
}
