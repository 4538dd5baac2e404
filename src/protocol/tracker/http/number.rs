//! The numbers in the query of a request to an HTTP tracker.

/// Whether a parameter is a number in decimal.
pub(super) fn is_numeric(name: &[u8]) -> bool {
    matches!(
        name,
        b"port"
            | b"uploaded"
            | b"downloaded"
            | b"left"
            | b"corrupt"
            | b"redundant"
            | b"numwant"
            | b"compact"
            | b"no_peer_id"
            | b"supportcrypto"
            | b"requirecrypto"
    )
}

/// A number as encoders write it: a second way to write it would not come out again.
pub(super) fn number(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    let canonical = text == "0" || text.starts_with(|first: char| matches!(first, '1'..='9'));
    text.parse().ok().filter(|_| canonical)
}
