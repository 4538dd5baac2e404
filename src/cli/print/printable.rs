//! The one way of text to people. Names, keys and errors come off the wire, out of files and from the command line: what
//! a terminal would obey instead of showing is replaced here. Lines that are wrapped or painted, tables, standard error
//! and CSV call [`printable`]; JSON escapes the same characters, so that nothing is lost there.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) use bittrace_trace::record::disguises;

/// Whether people read plain ASCII alone, because their terminal shows no more.
static ASCII_ALONE: AtomicBool = AtomicBool::new(false);

/// Makes [`printable`] hand out plain ASCII from now on.
pub(crate) fn use_ascii_alone() {
    ASCII_ALONE.store(true, Ordering::Relaxed);
}

/// Whether that was asked for.
pub(crate) fn is_ascii_alone() -> bool {
    ASCII_ALONE.load(Ordering::Relaxed)
}

/// `text` with U+FFFD in place of each character that [`disguises`]; plain ASCII where that was asked for.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    match is_ascii_alone() {
        true => plain_ascii(text),
        false => undisguised(text),
    }
}

/// `text` in plain ASCII, whatever was asked for.
pub(crate) fn plain_ascii(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(in_ascii).collect())
}

/// A character as plain ASCII; `?` where nothing looks like it.
fn in_ascii(c: char) -> Cow<'static, str> {
    Cow::Borrowed(match c {
        '…' => "...",
        '→' => "->",
        '←' => "<-",
        '↑' => "^",
        '↓' => "v",
        '×' | '✕' => "x",
        '▲' => "!",
        '●' => "*",
        'µ' => "u",
        '│' | '├' | '┤' => "|",
        '┊' => ":",
        '─' => "-",
        '━' => "=",
        '▁' | '▂' => ".",
        '▃' | '▄' => ":",
        '▅' | '▆' => "+",
        '▇' | '█' => "#",
        '✓' => "ok",
        '┼' => "+",
        ' '..='~' => return Cow::Owned(c.to_string()),
        _ => "?",
    })
}

/// `text` with U+FFFD in place of each character that [`disguises`], in UTF-8 always: for programs.
pub(crate) fn undisguised(text: &str) -> Cow<'_, str> {
    if is_plain(text) || !text.contains(disguises) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(visible).collect())
}

/// Whether a text is printable ASCII alone, as most text is. This costs less than a look at each character.
pub(crate) fn is_plain(text: &str) -> bool {
    // Sixteen bytes at a time, without a branch for each: most texts are plain.
    let (sixteens, rest) = text.as_bytes().as_chunks::<16>();
    sixteens.iter().all(|bytes| all_plain(bytes)) && all_plain(rest)
}

/// Whether a byte of ASCII stands in a text, sixteen bytes at a time.
pub(crate) fn has_byte(text: &str, byte: u8) -> bool {
    let (sixteens, rest) = text.as_bytes().as_chunks::<16>();
    let within = |bytes: &[u8]| bytes.iter().fold(false, |found, other| found | (*other == byte));
    sixteens.iter().any(|bytes| within(bytes)) || within(rest)
}

#[inline]
fn all_plain(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |plain, byte| plain & (byte.wrapping_sub(b' ') <= b'~' - b' '))
}

/// What is shown of a character.
pub(crate) fn visible(c: char) -> char {
    if disguises(c) { char::REPLACEMENT_CHARACTER } else { c }
}

/// JSON in which the characters that a terminal would obey are escaped. JSON itself has the controls of C0 escaped.
pub(crate) fn escaped(json: Cow<'_, str>) -> Cow<'_, str> {
    if is_plain(&json) || !json.contains(disguises) {
        return json;
    }
    let mut text = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        match disguises(c) {
            // All of them lie below U+10000, and inside strings: JSON has no such character elsewhere.
            true => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => text.push(c),
        }
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_never_reach_a_terminal() {
        assert_eq!(printable("a\u{1b}[2J\nb"), "a\u{fffd}[2J\u{fffd}b");
        // CSI as one character of C1.
        assert_eq!(printable("\u{9b}31mred"), "\u{fffd}31mred");
        assert_eq!(printable("one\u{2028}two"), "one\u{fffd}two");
    }

    #[test]
    fn plain_ascii_has_a_likeness_of_what_tables_are_made_of() {
        let ascii = |text: &str| text.chars().map(in_ascii).collect::<String>();
        assert_eq!(ascii("→ ← 40 µs … 3 × na\u{ef}ve\u{1b}"), "-> <- 40 us ... 3 x na?ve?");
    }

    #[test]
    fn nothing_turns_the_order_of_what_is_shown() {
        // Shown as it is, this name would seem to end in .txt.
        assert_eq!(printable("harmless\u{202e}txt.exe"), "harmless\u{fffd}txt.exe");
        assert_eq!(printable("\u{2066}a\u{2069}"), "\u{fffd}a\u{fffd}");
        assert_eq!(printable("\u{200f}1\u{61c}"), "\u{fffd}1\u{fffd}");
        assert_eq!(printable("\u{5d0}\u{5d1} na\u{ef}ve"), "\u{5d0}\u{5d1} na\u{ef}ve");
    }
}
