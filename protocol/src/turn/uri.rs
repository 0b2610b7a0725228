//! A TURN server as people write it: `turn:USER:PASS@HOST:PORT?transport=udp`.

use std::fmt;
use std::str::FromStr;

/// The registered ports (RFC 8656, section 3.1).
const PORT: u16 = 3478;
const PORT_TLS: u16 = 5349;

/// What carries the messages to the server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A TCP connection.
    Tcp,
    /// TLS over TCP.
    Tls,
}

/// A server, and who we are to it.
#[derive(Clone, PartialEq, Eq)]
pub struct TurnServer {
    /// The user's name. Time-limited ones look like `1700000000:ada`.
    pub username: String,
    /// The password.
    pub password: String,
    /// Name or address; an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// How it is reached.
    pub transport: Transport,
}

/// Why a text is no TURN server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// It begins with something else.
    #[error("it begins with neither turn: nor turns:")]
    Scheme,
    /// There is no `USER:PASS@`.
    #[error("the user name and password are missing; write turn:USER:PASS@HOST:PORT")]
    Credentials,
    /// There is no host, or the port is none.
    #[error("the host or port is wrong; write turn:USER:PASS@HOST:PORT")]
    Host,
    /// A transport nobody knows.
    #[error("the transport is none of udp, tcp and tls")]
    Transport,
    /// A percent sign that escapes nothing.
    #[error("a percent sign is not followed by two hexadecimal digits")]
    Percent,
}

impl FromStr for TurnServer {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let (scheme, rest) = text.trim().split_once(':').ok_or(UriError::Scheme)?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "turn" => false,
            "turns" => true,
            _ => return Err(UriError::Scheme),
        };
        let (rest, transport) = match rest.rsplit_once("?transport=") {
            None => (rest, if secure { Transport::Tls } else { Transport::Udp }),
            Some((rest, "udp")) if !secure => (rest, Transport::Udp),
            Some((rest, "tcp")) if !secure => (rest, Transport::Tcp),
            Some((rest, "tcp" | "tls")) => (rest, Transport::Tls),
            Some(_) => return Err(UriError::Transport),
        };
        let (credentials, place) = rest.rsplit_once('@').ok_or(UriError::Credentials)?;
        // Time-limited user names contain a colon.
        let (username, password) = credentials.rsplit_once(':').ok_or(UriError::Credentials)?;
        if username.is_empty() || password.is_empty() {
            return Err(UriError::Credentials);
        }
        let default = if transport == Transport::Tls { PORT_TLS } else { PORT };
        let (host, port) = match place.strip_prefix('[').and_then(|place| place.split_once(']')) {
            Some((host, "")) => (host, default),
            Some((host, port)) => (host, parse_port(port.strip_prefix(':').ok_or(UriError::Host)?)?),
            None => match place.split_once(':') {
                Some((host, port)) => (host, parse_port(port)?),
                None => (place, default),
            },
        };
        if host.is_empty() || host.chars().any(|c| c.is_whitespace() || c == '/') {
            return Err(UriError::Host);
        }
        let (username, password) = (unescape(username)?, unescape(password)?);
        Ok(Self { username, password, host: host.to_owned(), port, transport })
    }
}

fn parse_port(text: &str) -> Result<u16, UriError> {
    text.parse().ok().filter(|port| *port != 0).ok_or(UriError::Host)
}

fn unescape(text: &str) -> Result<String, UriError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, others)) = rest.split_first() {
        rest = others;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let (digits, others) = rest.split_first_chunk::<2>().ok_or(UriError::Percent)?;
        let digits = str::from_utf8(digits).map_err(|_| UriError::Percent)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| UriError::Percent)?);
        rest = others;
    }
    String::from_utf8(bytes).map_err(|_| UriError::Percent)
}

/// Writes what would be read differently as percent escapes; `plain` are characters that stay.
fn escape(text: &str, plain: &str) -> String {
    let keep = |byte: u8| {
        byte.is_ascii_alphanumeric() || "-._~+/=!".contains(byte as char) || plain.contains(byte as char)
    };
    text.bytes().fold(String::new(), |mut out, byte| {
        if keep(byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

impl fmt::Display for TurnServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.transport == Transport::Tls { "turns" } else { "turn" };
        let (user, password) = (escape(&self.username, ":"), escape(&self.password, ""));
        write!(f, "{scheme}:{user}:{password}@")?;
        if self.host.contains(':') { write!(f, "[{}]", self.host) } else { f.write_str(&self.host) }?;
        write!(f, ":{}", self.port)?;
        if self.transport == Transport::Tcp { f.write_str("?transport=tcp") } else { Ok(()) }
    }
}

impl fmt::Debug for TurnServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TurnServer({}:{} {:?})", self.host, self.port, self.transport)
    }
}
