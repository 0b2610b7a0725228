//! The line a ticket is: how it is written, and how it is read however it was pasted.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{TICKET_VERSION, Ticket, fields};
use crate::limits::TICKET_CHARS_MAX;

const CHECKSUM_CONTEXT: &str = "roundtable 1 ticket checksum";
const CHECKSUM_BYTES: usize = 5;
const LENGTH_BYTES: usize = 2;
/// Below it the first character of the data is always `a`, a letter.
const BODY_BYTES_END: usize = 2048;

/// Why a text is not a usable ticket, in the words the user gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TicketError {
    /// The text does not begin like a ticket.
    #[error("this is not a ticket: a ticket begins with rt1; copy the whole line you were sent")]
    NotATicket,
    /// The version is none that this program reads.
    #[error(
        "this ticket is of version {0}, this program reads version {TICKET_VERSION}: \
         bring the older of the two programs up to date"
    )]
    OtherVersion(u32),
    /// The end is missing.
    #[error("the ticket's end is missing ({}); copy the whole line again", characters(*missing_chars))]
    Truncated {
        /// How many characters did not arrive.
        missing_chars: usize,
    },
    /// The checksum, the alphabet or the length is wrong.
    #[error("the ticket has a typing error: its checksum is wrong; copy the whole line again")]
    Mistyped,
    /// The checksum is right and the content is not: written by a faulty program.
    #[error("the ticket arrived intact but its content makes no sense; ask for a new one")]
    Malformed,
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = fields::encode(self);
        assert!(body.len() < BODY_BYTES_END, "the limits of candidates and relays bound a ticket's body");
        let mut data = Zeroizing::new(Vec::with_capacity(LENGTH_BYTES + body.len() + CHECKSUM_BYTES));
        data.extend_from_slice(&(body.len() as u16).to_be_bytes());
        data.extend_from_slice(&body);
        data.extend_from_slice(&checksum(&body));
        let mut line = Zeroizing::new(BASE32_NOPAD.encode(&data));
        line.make_ascii_lowercase();
        write!(f, "rt{TICKET_VERSION}{}", *line)
    }
}

impl FromStr for Ticket {
    type Err = TicketError;

    /// Reads a ticket as people paste it: with blanks, quotes or brackets around it, broken into lines
    /// and quoted by a mail program, or in upper case.
    fn from_str(text: &str) -> Result<Self, TicketError> {
        let line = unwrapped(text)?;
        let (version, data) = split_version(&line)?;
        if version != TICKET_VERSION {
            return Err(TicketError::OtherVersion(version));
        }
        let body = read_data(data)?;
        fields::decode(&body).ok_or(TicketError::Malformed)
    }
}

/// The ticket's own characters, in upper case.
fn unwrapped(text: &str) -> Result<Zeroizing<String>, TicketError> {
    let mut line = Zeroizing::new(String::with_capacity(TICKET_CHARS_MAX));
    for part in text.trim_matches(is_wrapping).lines() {
        // `>` is a mail program's quotation mark, `=` at the end its soft line break (RFC 2045, 6.7).
        let part = part.trim_start_matches(|c: char| c == '>' || is_blank(c));
        let part = part.trim_end_matches(|c: char| c == '=' || is_blank(c));
        for c in part.chars().filter(|&c| !is_blank(c)) {
            if !c.is_ascii_alphanumeric() {
                return Err(if begins_like_a_ticket(&line) {
                    TicketError::Mistyped
                } else {
                    TicketError::NotATicket
                });
            }
            if line.len() == TICKET_CHARS_MAX {
                return Err(TicketError::Mistyped);
            }
            line.push(c.to_ascii_uppercase());
        }
    }
    Ok(line)
}

fn characters(count: usize) -> String {
    if count == 1 { "1 character".into() } else { format!("{count} characters") }
}

fn begins_like_a_ticket(line: &str) -> bool {
    line.strip_prefix("RT").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn split_version(line: &str) -> Result<(u32, &str), TicketError> {
    if !begins_like_a_ticket(line) {
        return Err(TicketError::NotATicket);
    }
    let rest = &line["RT".len()..];
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let version = rest[..digits].parse().map_err(|_| TicketError::Mistyped)?;
    Ok((version, &rest[digits..]))
}

/// Checks length and checksum, and returns the body.
fn read_data(data: &str) -> Result<Zeroizing<Vec<u8>>, TicketError> {
    // Four characters hold the length's 16 bits and four more.
    let head = data.get(..4).ok_or_else(|| TicketError::Truncated { missing_chars: 4 - data.len() })?;
    let head = head.chars().try_fold(0, |bits, c| Some(bits << 5 | base32_value(c)?));
    let body_bytes = (head.ok_or(TicketError::Mistyped)? >> 4) as usize;
    let chars = BASE32_NOPAD.encode_len(LENGTH_BYTES + body_bytes + CHECKSUM_BYTES);
    if body_bytes >= BODY_BYTES_END || data.len() > chars {
        return Err(TicketError::Mistyped);
    }
    if data.len() < chars {
        return Err(TicketError::Truncated { missing_chars: chars - data.len() });
    }
    let mut bytes = Zeroizing::new(BASE32_NOPAD.decode(data.as_bytes()).map_err(|_| TicketError::Mistyped)?);
    let (rest, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(TicketError::Mistyped)?;
    if !bool::from(checksum(&rest[LENGTH_BYTES..]).ct_eq(sum)) {
        return Err(TicketError::Mistyped);
    }
    bytes.truncate(LENGTH_BYTES + body_bytes);
    bytes.drain(..LENGTH_BYTES);
    Ok(bytes)
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let hash = blake3::derive_key(CHECKSUM_CONTEXT, body);
    *hash.first_chunk().expect("a hash has 32 bytes")
}

fn base32_value(c: char) -> Option<u32> {
    match c {
        'A'..='Z' => Some(u32::from(c) - u32::from('A')),
        '2'..='7' => Some(u32::from(c) - u32::from('2') + 26),
        _ => None,
    }
}

/// What may stand around a ticket in a sentence, a chat or a shell.
fn is_wrapping(c: char) -> bool {
    is_blank(c)
        || matches!(c, '"' | '\'' | '`' | '<' | '>' | '(' | ')' | '[' | ']' | '.' | ',' | ';' | '*')
        || matches!(c, '“' | '”' | '„' | '‘' | '’' | '‚' | '«' | '»' | '‹' | '›')
}

/// Blanks, and the characters without width that text programs insert to allow line breaks.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}
