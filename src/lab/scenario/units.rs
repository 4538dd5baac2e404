//! Amounts, rates and times as people write them: `100 MiB`, `50 kB/s`, `20..120 ms`.

use std::time::Duration;

use serde::Deserialize;

/// The text of a value, or a number as its text.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "Written")]
pub(crate) struct Text(pub(crate) String);

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a text such as \"50 kB/s\", or a number")]
enum Written {
    Text(String),
    Whole(u64),
    Fraction(f64),
}

impl From<Written> for Text {
    fn from(written: Written) -> Self {
        Self(match written {
            Written::Text(text) => text,
            Written::Whole(number) => number.to_string(),
            Written::Fraction(number) => number.to_string(),
        })
    }
}

impl Text {
    pub(crate) fn words(&self) -> Vec<&str> {
        self.0.split_whitespace().collect()
    }
}

/// A number of bytes: `100 MiB`, `256 kB`, `16384`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Text")]
pub struct ByteCount(pub u64);

impl TryFrom<Text> for ByteCount {
    type Error = String;

    fn try_from(text: Text) -> Result<Self, String> {
        let wanted = || format!("\"{}\" is no number of bytes such as \"100 MiB\" or \"256 kB\"", text.0);
        let (number, unit) = number_and_unit(&text.0).ok_or_else(wanted)?;
        let bytes = number * byte_unit(if unit.is_empty() { "B" } else { unit }).ok_or_else(wanted)?;
        if bytes.fract() == 0.0 && (0.0..MOST).contains(&bytes) {
            Ok(Self(bytes as u64))
        } else {
            Err(wanted())
        }
    }
}

/// Bytes a second: `50 kB/s`, `400 kbit/s`, or `inf` for a link without a limit.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Deserialize)]
#[serde(try_from = "Text")]
pub struct ByteRate(pub f64);

impl ByteRate {
    /// No limit.
    pub const INFINITE: Self = Self(f64::INFINITY);

    /// How long so many bytes take.
    pub fn time_of(self, bytes: u64) -> Duration {
        if self.0.is_finite() { Duration::from_secs_f64(bytes as f64 / self.0) } else { Duration::ZERO }
    }
}

impl TryFrom<Text> for ByteRate {
    type Error = String;

    fn try_from(text: Text) -> Result<Self, String> {
        let wanted = || format!("\"{}\" is no rate such as \"50 kB/s\", \"400 kbit/s\" or \"inf\"", text.0);
        if text.0.trim() == "inf" {
            return Ok(Self::INFINITE);
        }
        let (number, unit) = number_and_unit(&text.0).ok_or_else(wanted)?;
        let unit = unit.strip_suffix("/s").ok_or_else(wanted)?;
        let bytes = match unit.strip_suffix("bit") {
            Some(prefix) => byte_unit(&format!("{prefix}B")).map(|bytes| bytes / 8.0),
            None => byte_unit(unit),
        };
        let rate = number * bytes.ok_or_else(wanted)?;
        // Slower links would take centuries for a block.
        if (1.0..MOST).contains(&rate) { Ok(Self(rate)) } else { Err(wanted()) }
    }
}

/// A time: `50 ms`, `10 s`, `5 min`, `2 h`; a number alone is seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "Text")]
pub struct Span(pub Duration);

impl TryFrom<Text> for Span {
    type Error = String;

    fn try_from(text: Text) -> Result<Self, String> {
        duration(&text.0).map(Self)
    }
}

/// A time from one to another: `20..120 ms`, `60 s..120 s`, or one time alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Text")]
pub struct SpanRange {
    /// The shortest, or the first.
    pub from: Duration,
    /// The longest, or the last.
    pub to: Duration,
}

impl TryFrom<Text> for SpanRange {
    type Error = String;

    fn try_from(text: Text) -> Result<Self, String> {
        let Some((from, to)) = text.0.split_once("..") else {
            let time = duration(&text.0)?;
            return Ok(Self { from: time, to: time });
        };
        let to_unit = number_and_unit(to).map_or("", |(_, unit)| unit);
        let from = match number_and_unit(from) {
            // The unit after the second number is of both.
            Some((_, "")) => duration(&format!("{from} {to_unit}"))?,
            _ => duration(from)?,
        };
        let to = duration(to)?;
        if from <= to { Ok(Self { from, to }) } else { Err(format!("\"{}\" ends before it begins", text.0)) }
    }
}

/// A time in words.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wanted = || format!("\"{text}\" is no time such as \"50 ms\", \"10 s\", \"5 min\" or \"2 h\"");
    let (number, unit) = number_and_unit(text).ok_or_else(wanted)?;
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(wanted()),
    };
    let seconds = number * seconds;
    if (0.0..=MOST_SECONDS).contains(&seconds) { Ok(Duration::from_secs_f64(seconds)) } else { Err(wanted()) }
}

/// A number and what follows it.
pub(crate) fn number_and_unit(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|character: char| !matches!(character, '0'..='9' | '.' | '_')).unwrap_or(text.len());
    let number = text[..end].replace('_', "").parse().ok()?;
    Some((number, text[end..].trim_start()))
}

fn byte_unit(unit: &str) -> Option<f64> {
    Some(match unit {
        "B" => 1.0,
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "KiB" => 1024.0,
        "MiB" => 1_048_576.0,
        "GiB" => 1_073_741_824.0,
        _ => return None,
    })
}

/// Beyond all sizes and rates that mean something.
const MOST: f64 = 1e15;

/// A year: what a run may last.
const MOST_SECONDS: f64 = 366.0 * 86_400.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Text {
        Text(text.to_owned())
    }

    #[test]
    fn amounts_are_read_with_their_units() {
        let bytes = |said: &str| ByteCount::try_from(text(said)).ok().map(|count| count.0);
        assert_eq!(bytes("100 MiB"), Some(100 << 20));
        assert_eq!(bytes("256kB"), Some(256_000));
        assert_eq!(bytes("1.5 KiB"), Some(1536));
        assert_eq!(bytes("16384"), Some(16_384));
        for wrong in ["", "MiB", "100 Mib", "-1 B", "0.3 B", "1e3 B"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn rates_are_bytes_or_bits_a_second() {
        let rate = |said: &str| ByteRate::try_from(text(said)).ok().map(|rate| rate.0);
        assert_eq!(rate("50 kB/s"), Some(50_000.0));
        assert_eq!(rate("400 kbit/s"), Some(50_000.0));
        assert_eq!(rate("1.5 Mbit/s"), Some(187_500.0));
        assert_eq!(rate("inf"), Some(f64::INFINITY));
        for wrong in ["50", "50 kB", "0 B/s", "fast"] {
            assert_eq!(rate(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn ranges_share_the_unit_of_their_end() {
        let range = |said: &str| SpanRange::try_from(text(said)).map(|range| (range.from, range.to));
        let ms = Duration::from_millis;
        assert_eq!(range("20..120 ms"), Ok((ms(20), ms(120))));
        assert_eq!(range("60s..2 min"), Ok((ms(60_000), ms(120_000))));
        assert_eq!(range("50 ms"), Ok((ms(50), ms(50))));
        assert_eq!(range("2 s..1 s"), Err("\"2 s..1 s\" ends before it begins".to_owned()));
        assert!(range("a..b").is_err());
    }
}
