//! The configuration file: TOML, every key optional, an unknown key is an error.

use super::{ConfigError, default_config_file};
use serde::Deserialize;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;

/// What the file may say. Each key does what the option of the same name does.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigFile {
    /// How others see me.
    pub name: Option<String>,
    /// UDP address to listen on.
    pub listen: Option<SocketAddr>,
    /// Input device.
    pub input: Option<String>,
    /// Output device.
    pub output: Option<String>,
    /// STUN servers; an empty list asks none.
    pub stun: Option<Vec<String>>,
    /// TURN servers.
    pub turn: Vec<String>,
    /// Everything goes through the relay.
    pub relay_only: bool,
    /// For how many seconds a member that is not heard keeps its seat, 5 to 3600.
    #[serde(deserialize_with = "seat")]
    pub seat_s: Option<u64>,
}

fn seat<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let seconds = u64::deserialize(deserializer)?;
    if (5..=3600).contains(&seconds) {
        return Ok(Some(seconds));
    }
    Err(serde::de::Error::custom(format!("seat_s is {seconds}; it may be 5 to 3600 seconds")))
}

/// Reads the file. The default one may be missing, a named one may not.
pub fn load(named: Option<&Path>) -> Result<ConfigFile, ConfigError> {
    let Some(path) = named.map(Path::to_owned).or_else(default_config_file) else {
        return Ok(ConfigFile::default());
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => {
            return Ok(ConfigFile::default());
        }
        Err(error) => return Err(ConfigError::file("read", &path, &error)),
    };
    toml::from_str(&text).map_err(|error| {
        let line = 1 + error.span().map_or(0, |span| text[..span.start].matches('\n').count());
        ConfigError::Mistake { path, reason: format!("line {line}: {}", error.message()) }
    })
}

#[cfg(test)]
mod tests {
    use super::load;

    #[test]
    fn a_wrong_key_is_named_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::fs::write(&path, "name = \"Ada\"\ninptu = \"null\"\n").unwrap();
        let error = load(Some(&path)).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("inptu") && error.contains("input"), "{error}");
        std::fs::write(&path, "\n\n\ninput = 3\n").unwrap();
        let error = load(Some(&path)).unwrap_err().to_string();
        assert!(error.contains("line 4"), "{error}");
        std::fs::write(&path, "name = \"Ada\"\nlisten = \"[::]:4701\"\n").unwrap();
        assert_eq!(load(Some(&path)).unwrap().name.as_deref(), Some("Ada"));
        assert!(load(Some(&dir.path().join("missing.toml"))).is_err());
        std::fs::write(&path, "seat_s = 90\n").unwrap();
        assert_eq!(load(Some(&path)).unwrap().seat_s, Some(90));
        std::fs::write(&path, "\nseat_s = 1\n").unwrap();
        let error = load(Some(&path)).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("5 to 3600"), "{error}");
    }
}
