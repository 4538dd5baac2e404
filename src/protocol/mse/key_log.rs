//! Key logs: the keys in encrypted connections as text, so that captures of them can be read afterwards.
//!
//! A line a connection, its parts apart by blanks; empty lines and those that begin with `#` say nothing:
//!
//! ```text
//! MSE 10.0.0.3:49335-10.0.0.2:51413 <info hash, 40 hex digits> <secret, 192 hex digits>
//! ```
//!
//! The ends, initiator first, are for people: a connection's key is found by the hash of the secret, which the
//! connection shows, so neither address translation nor a port used twice does harm.

use std::net::SocketAddr;

use thiserror::Error;

use super::{KEY_LENGTH, MseKey};
use crate::id::from_hex;
use crate::{Hex, InfoHash};

/// How many keys a key log may have.
pub const MAX_KEYS: usize = 65_536;

/// A line of a key log is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: expected {wanted}")]
pub struct KeyLogError {
    /// The line, from 1.
    pub line: usize,
    /// What would have been right there.
    pub wanted: &'static str,
}

/// Reads a key log.
///
/// # Errors
/// At the first line that is none, and where there are more keys than [`MAX_KEYS`].
pub fn parse_key_log(log: &[u8]) -> Result<Vec<MseKey>, KeyLogError> {
    let mut keys = Vec::new();
    // Some editors put a byte order mark in front.
    let log = log.strip_prefix(b"\xef\xbb\xbf").unwrap_or(log);
    for (at, line) in lines(log).enumerate() {
        let error = |wanted| KeyLogError { line: at + 1, wanted };
        if let Some(key) = parse_line(line).map_err(error)? {
            if keys.len() == MAX_KEYS {
                return Err(error("at most 65536 keys"));
            }
            keys.push(key);
        }
    }
    Ok(keys)
}

/// The keys in text that may say other things as well, such as a capture's comment; at most [`MAX_KEYS`].
pub fn keys_among(text: &[u8]) -> impl Iterator<Item = MseKey> {
    lines(text).filter_map(|line| parse_line(line).ok().flatten()).take(MAX_KEYS)
}

impl MseKey {
    /// Its line in a key log, without the end of the line.
    pub fn to_line(&self, initiator: SocketAddr, responder: SocketAddr) -> String {
        format!("{LABEL} {initiator}-{responder} {} {}", self.info_hash, Hex(&self.secret))
    }
}

/// What a key's line begins with.
const LABEL: &str = "MSE";

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n')
}

/// The key of a line; `None` of one that says nothing.
fn parse_line(line: &[u8]) -> Result<Option<MseKey>, &'static str> {
    let line = line.trim_ascii();
    if line.is_empty() || line.starts_with(b"#") {
        return Ok(None);
    }
    let mut parts = line.split(u8::is_ascii_whitespace).filter(|part| !part.is_empty());
    if parts.next() != Some(LABEL.as_bytes()) {
        return Err("MSE, a connection's ends, an info hash and a secret, or a comment that begins with #");
    }
    parts.next().ok_or("the two ends of a connection, as INITIATOR-RESPONDER")?;
    let info_hash = parts.next().and_then(from_hex).ok_or("an info hash of 40 hexadecimal digits")?;
    let secret: [u8; KEY_LENGTH] =
        parts.next().and_then(from_hex).ok_or("a secret of 192 hexadecimal digits")?;
    match parts.next() {
        None => Ok(Some(MseKey { info_hash: InfoHash(info_hash), secret })),
        Some(_) => Err("nothing after the secret"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line() -> String {
        format!("MSE 10.0.0.3:49335-10.0.0.2:51413 {} {}", "0123456789abcdefABCD".repeat(2), "5a".repeat(96))
    }

    #[test]
    fn what_is_written_is_read() {
        let key = MseKey { info_hash: InfoHash([0xa5; 20]), secret: std::array::from_fn(|at| at as u8) };
        let ends = ["10.0.0.3:49335", "[fd77::2]:51413"].map(|end| end.parse().unwrap());
        let line = key.to_line(ends[0], ends[1]);
        assert!(line.starts_with("MSE 10.0.0.3:49335-[fd77::2]:51413 a5a5"));
        assert_eq!(parse_key_log(format!("{line}\n").as_bytes()), Ok(vec![key]));
    }

    #[test]
    fn comments_empty_lines_and_line_ends_of_others_do_no_harm() {
        let log = format!("# a comment\r\n\r\n  {}\t\r\n#{}", line(), line());
        assert_eq!(parse_key_log(log.as_bytes()).unwrap().len(), 1);
        assert_eq!(parse_key_log(b""), Ok(Vec::new()));
        let marked = [b"\xef\xbb\xbf", line().as_bytes()].concat();
        assert_eq!(parse_key_log(&marked).unwrap().len(), 1);
    }

    #[test]
    fn an_error_names_the_line_and_what_it_lacks() {
        let cut = |count: usize| line().split(' ').take(count).collect::<Vec<_>>().join(" ");
        let wrong = [
            ("CLIENT_RANDOM 00 11".to_owned(), "MSE, "),
            (cut(1), "the two ends"),
            (cut(2), "an info hash"),
            (cut(3), "a secret"),
            (line().replace("5a5a5a", "5a5a"), "a secret"),
            (line().replace("5a5a5a", "5a5g5a"), "a secret"),
            (line().replace("cdef", "cdé"), "an info hash"),
            (format!("{} more", line()), "nothing"),
        ];
        for (text, wanted) in wrong {
            let error = parse_key_log(format!("# first\n{text}\n").as_bytes()).unwrap_err();
            assert_eq!(error.line, 2, "{text}");
            assert!(error.wanted.starts_with(wanted), "{text}: {error}");
        }
    }

    #[test]
    fn there_is_a_bound() {
        let log = format!("{}\n", line()).repeat(MAX_KEYS);
        assert_eq!(parse_key_log(log.as_bytes()).unwrap().len(), MAX_KEYS);
        let more = format!("{log}{}", line());
        assert_eq!(parse_key_log(more.as_bytes()).unwrap_err().line, MAX_KEYS + 1);
        assert_eq!(keys_among(more.as_bytes()).count(), MAX_KEYS);
    }

    #[test]
    fn keys_are_found_among_other_words() {
        let text = format!("recorded by hand\nMSE is not a key here\n{}\n", line());
        assert_eq!(keys_among(text.as_bytes()).count(), 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(bytes: Vec<u8>) {
            let _ = parse_key_log(&bytes);
            prop_assert!(keys_among(&bytes).next().is_none());
        }
    }
}
