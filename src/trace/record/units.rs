//! Numbers and moments as people read them: exact, with thousands apart, in round units only where they are round.

use std::borrow::Cow;
use std::fmt;

use bittrace_protocol::Timestamp;

/// `300,000`.
pub fn count(number: u64) -> String {
    let mut text = String::new();
    push_count(number, &mut text);
    text
}

/// Adds `300,000` to a text.
fn push_count(number: u64, text: &mut String) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number);
    let (first, mut rest) = digits.split_at((digits.len() - 1) % 3 + 1);
    text.push_str(first);
    while !rest.is_empty() {
        let (group, more) = rest.split_at(3);
        text.push(',');
        text.push_str(group);
        rest = more;
    }
}

/// Adds `300000` to a text.
pub(super) fn push_number(number: u32, text: &mut String) {
    text.push_str(itoa::Buffer::new().format(number));
}

/// `1 peer`, `1,200 peers`.
pub fn counted(number: u64, one: &str) -> String {
    let plural = match one.strip_suffix('y') {
        Some(stem) if !one.ends_with("ay") => format!("{stem}ies"),
        _ if one.ends_with("sh") || one.ends_with('s') => format!("{one}es"),
        _ => format!("{one}s"),
    };
    format!("{} {}", count(number), if number == 1 { one } else { &plural })
}

/// A share from 0 to 1 as `99.9 %`; `100 %` only where it is all of it.
pub fn percent(share: f64) -> String {
    let hundredths = (share * 10_000.0).floor() / 100.0;
    match hundredths.fract() == 0.0 {
        true => format!("{hundredths:.0} %"),
        false => format!("{hundredths:.1} %"),
    }
}

/// What is wrong with some bytes, and where.
pub fn wanted_at(offset: usize, wanted: &str) -> String {
    format!("at byte {offset}: expected {wanted}")
}

/// A moment in RFC 3339, in UTC, with as many digits as it needs: six, or nine.
pub fn rfc3339(at: Timestamp) -> String {
    Rfc3339(at).to_string()
}

/// The same, to be written somewhere.
#[derive(Debug, Clone, Copy)]
pub struct Rfc3339(pub Timestamp);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let digits = if nanos % 1000 == 0 { 6 } else { 9 };
        // Every count of nanoseconds in 64 bits lies between the years 1677 and 2262.
        match jiff::Timestamp::from_nanosecond(i128::from(nanos)) {
            Ok(moment) => write!(f, "{moment:.digits$}"),
            Err(_) => write!(f, "{nanos} ns"),
        }
    }
}

/// A number of bytes, exactly: `16 KiB`, `1 MiB`, `300,000 bytes`.
pub fn size(bytes: u64) -> String {
    let mut text = String::new();
    push_size(bytes, &mut text);
    text
}

/// Adds [`size`] to a text.
pub(super) fn push_size(bytes: u64, text: &mut String) {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit)) {
        Some((unit, name)) => {
            push_count(bytes / unit, text);
            text.push(' ');
            text.push_str(name);
        }
        None => text.push_str(&counted(bytes, "byte")),
    }
}

/// A number of bytes in four figures at most: `293 KiB`, `1.4 MiB`.
pub fn rough_size(bytes: u64) -> String {
    if bytes < 10_000 {
        return format!("{bytes} B");
    }
    let mut scaled = bytes as f64 / 1024.0;
    for unit in ["KiB", "MiB", "GiB"] {
        if scaled < 9.95 {
            return format!("{scaled:.1} {unit}");
        }
        if scaled < 1000.0 {
            return format!("{scaled:.0} {unit}");
        }
        scaled /= 1024.0;
    }
    format!("{scaled:.1} TiB")
}

/// A span of time in whole seconds: `27 min 49 s`.
pub fn seconds(total: u64) -> String {
    let (hours, minutes, seconds) = (total / 3600, total / 60 % 60, total % 60);
    let parts = [(hours, "h"), (minutes, "min"), (seconds, "s")];
    let said: Vec<_> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{} {unit}", count(*n))).collect();
    if said.is_empty() { "0 s".to_owned() } else { said.join(" ") }
}

/// A measured span of time: `41 ms`, `1.25 s`, `2 min 3 s`.
pub fn span(seconds: f64) -> String {
    match seconds {
        s if s < 0.0 => format!("-{}", span(-s)),
        s if s < 0.000_999_5 => format!("{:.0} µs", s * 1e6),
        s if s < 0.009_95 => format!("{:.1} ms", s * 1e3),
        s if s < 0.999_5 => format!("{:.0} ms", s * 1e3),
        s if s < 99.995 => format!("{s:.2} s"),
        s => self::seconds(s.round() as u64),
    }
}

/// The first eight digits of a hash or id, for tables.
pub fn short_hex(hex: &str) -> Cow<'_, str> {
    match hex.get(..8) {
        Some(start) if hex.len() > 8 => Cow::Owned(format!("{start}…")),
        _ => Cow::Borrowed(hex),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_exact() {
        assert_eq!(size(16384), "16 KiB");
        assert_eq!(size(5120), "5 KiB");
        assert_eq!(size(300_000), "300,000 bytes");
        assert_eq!(size(1), "1 byte");
        assert_eq!(size(0), "0 bytes");
        assert_eq!(size(1 << 31), "2 GiB");
    }

    #[test]
    fn rough_sizes_have_four_figures_at_most() {
        assert_eq!(rough_size(9_999), "9999 B");
        assert_eq!(rough_size(300_000), "293 KiB");
        assert_eq!(rough_size(1_500_000), "1.4 MiB");
        assert_eq!(rough_size(u64::MAX), "16777216.0 TiB");
    }

    #[test]
    fn time_is_told_in_the_units_that_fit() {
        assert_eq!(seconds(1669), "27 min 49 s");
        assert_eq!(seconds(3600), "1 h");
        assert_eq!(seconds(0), "0 s");
        assert_eq!(span(0.000_001), "1 µs");
        assert_eq!(span(0.0412), "41 ms");
        assert_eq!(span(1.25), "1.25 s");
        assert_eq!(span(125.4), "2 min 5 s");
    }

    #[test]
    fn plurals_are_english() {
        assert_eq!(counted(2, "reply"), "2 replies");
        assert_eq!(counted(2, "byte"), "2 bytes");
        assert_eq!(counted(3, "info hash"), "3 info hashes");
        assert_eq!(counted(1, "peer"), "1 peer");
        assert_eq!(count(1_234_567), "1,234,567");
    }
}
