//! Who is let in: user names that say when they end, and passwords that follow from them by a shared secret.
//!
//! The scheme of draft-uberti-behave-turn-rest-00, as coturn's `use-auth-secret` has it: the user name is
//! `EXPIRY:NAME`, with the end in seconds since 1970, and the password is the base64 of HMAC-SHA1(secret, user name).
//! The server keeps no list of users; who holds the secret makes credentials without asking it.

use crate::config::{ConfigError, secret_file};
use data_encoding::{BASE64, HEXLOWER};
use std::path::Path;
use turn_server::codec::crypto::hmac_sha1;
use zeroize::Zeroizing;

/// A secret that people chose, as in coturn's configuration, should not be guessed; a generated one has 64 characters.
const SECRET_CHARS_MIN: usize = 16;
/// A REST user name fits this; longer ones are not read.
const NAME_BYTES_MAX: usize = 128;

/// What passwords follow from.
pub struct Secret(Zeroizing<String>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Lets somebody in until a certain time.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `EXPIRY:NAME`.
    pub username: String,
    /// Follows from it.
    pub password: String,
    /// When they end, in seconds since 1970.
    pub expires: u64,
}

impl Secret {
    /// A secret that is known already.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(Zeroizing::new(secret.into()))
    }

    /// Reads the secret from the first line of `path`, making one if there is no file. Others on this machine must
    /// not be able to read it.
    ///
    /// # Errors
    /// If it cannot be read or written, others can read it, or it is short enough to be guessed.
    pub fn load_or_make(path: &Path) -> Result<Self, ConfigError> {
        let Some(text) = secret_file::read(path)? else {
            let made = Self::new(HEXLOWER.encode(&crate::net::random::bytes::<32>()));
            secret_file::make(path, &made.0)?;
            return Ok(made);
        };
        let secret = text.lines().next().unwrap_or_default().trim();
        if secret.len() < SECRET_CHARS_MIN {
            let reason = format!("the secret has fewer than {SECRET_CHARS_MIN} characters");
            return Err(ConfigError::Mistake { path: path.to_owned(), reason });
        }
        Ok(Self::new(secret))
    }

    /// Credentials for `name` that end at `expires`, in seconds since 1970.
    pub fn issue(&self, name: &str, expires: u64) -> Credentials {
        let username = format!("{expires}:{name}");
        Credentials { password: self.password(&username), username, expires }
    }

    /// The password that belongs to a user name.
    pub fn password(&self, username: &str) -> String {
        BASE64.encode(&hmac_sha1(self.0.as_bytes(), &[username.as_bytes()]))
    }
}

/// The end and the name in a user name, if it is of the kind that [`Secret::issue`] makes.
pub fn parse_username(username: &str) -> Option<(u64, &str)> {
    let (expires, name) = username.split_once(':')?;
    let number = expires.bytes().all(|byte| byte.is_ascii_digit());
    (number && username.len() <= NAME_BYTES_MAX).then(|| Some((expires.parse().ok()?, name)))?
}

#[cfg(test)]
mod tests {
    use super::{Secret, parse_username};
    use crate::config::ConfigError;

    /// The password was computed with `openssl dgst -sha1 -hmac north -binary | base64`.
    #[test]
    fn credentials_are_those_that_coturn_expects() {
        let credentials = Secret::new("north").issue("ada", 1_700_000_000);
        assert_eq!(credentials.username, "1700000000:ada");
        assert_eq!(credentials.password, "ndZ88ryT1whVxdkcRLepT9D1MpM=");
    }

    #[test]
    fn a_username_says_when_it_ends_and_whose_it_is() {
        assert_eq!(parse_username("1700000000:ada"), Some((1_700_000_000, "ada")));
        assert_eq!(parse_username("1700000000:a:b"), Some((1_700_000_000, "a:b")));
        for other in [
            "ada",
            "",
            ":ada",
            "+1:ada",
            "x:ada",
            "99999999999999999999:ada",
            &format!("1:{}", "a".repeat(200)),
        ] {
            assert_eq!(parse_username(other), None, "{other}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_is_made_once_and_kept_from_others() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("secret");
        let first = Secret::load_or_make(&path).unwrap();
        assert_eq!(
            Secret::load_or_make(&path).unwrap().issue("ada", 1).password,
            first.issue("ada", 1).password
        );
        let set = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        set(0o640);
        assert!(matches!(Secret::load_or_make(&path), Err(ConfigError::TooOpen { mode: 0o640, .. })));
        set(0o600);
        std::fs::write(&path, "short\n").unwrap();
        assert!(matches!(Secret::load_or_make(&path), Err(ConfigError::Mistake { .. })));
    }
}
