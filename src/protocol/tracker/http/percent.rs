//! Percent-encoding (RFC 3986, section 2.1), read and written the way a given client writes it.

/// The bytes that `raw` stands for. A `%` without two hex digits stands for itself, and so does `+`: trackers
/// read binary values, not forms.
pub fn percent_decode(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut at = 0;
    while at < raw.len() {
        if let Some(byte) = escape_at(raw, at) {
            out.push(byte);
            at += 3;
        } else {
            out.push(raw[at]);
            at += 1;
        }
    }
    out
}

/// The byte that the escape at `at` stands for, where there is one.
fn escape_at(raw: &[u8], at: usize) -> Option<u8> {
    let [b'%', high, low] = *raw.get(at..at + 3)? else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// Which bytes a client leaves bare in a value, and in which case it writes the hex digits of the others.
#[derive(Clone, PartialEq, Eq)]
pub struct Escaping {
    bare: [bool; 256],
    upper_case: bool,
}

impl Escaping {
    /// The way of RFC 3986, section 2.3, with upper-case digits: letters, digits and `-._~` stay bare.
    pub fn standard() -> Self {
        Self::learn(&[], &[], PUNCTUATION)
    }

    /// The escaping that explains `own`, the values of one parameter as they were sent. What those leave open
    /// is taken from `similar` values, then from `punctuation`, which stays bare beside letters and digits.
    /// A value in which letters and digits are escaped too is of a client that escapes everything.
    pub fn learn(own: &[&[u8]], similar: &[&[u8]], punctuation: &[u8]) -> Self {
        let own = Evidence::of(own);
        let similar = Evidence::of(similar);
        let all = own.escapes_all() || (own.is_empty() && similar.escapes_all());
        let mut bare = [false; 256];
        for byte in 0..=u8::MAX {
            let index = usize::from(byte);
            bare[index] = if own.bare[index] || own.escaped[index] {
                own.bare[index]
            } else if all {
                false
            } else if similar.bare[index] || similar.escaped[index] {
                similar.bare[index]
            } else {
                byte.is_ascii_alphanumeric() || punctuation.contains(&byte)
            };
        }
        // A value that holds the first of these bare would end there. Beyond ASCII some clients write text bare, but a
        // URL of other bytes is none (RFC 3986, section 2).
        for byte in b"&#% \r\n".iter().copied().chain(0x80..=u8::MAX) {
            bare[usize::from(byte)] = false;
        }
        let upper_case = own.upper_case.or(similar.upper_case).unwrap_or(true);
        Self { bare, upper_case }
    }

    /// Writes `value` in this way.
    pub fn encode(&self, value: &[u8], out: &mut Vec<u8>) {
        let digits: &[u8; 16] = if self.upper_case { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
        for &byte in value {
            if self.bare[usize::from(byte)] {
                out.push(byte);
            } else {
                out.extend([b'%', digits[usize::from(byte >> 4)], digits[usize::from(byte & 0x0f)]]);
            }
        }
    }
}

impl std::fmt::Debug for Escaping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bare: String = (0..=u8::MAX)
            .filter(|&byte| self.bare[usize::from(byte)])
            .map(|byte| byte.escape_ascii().to_string())
            .collect();
        f.debug_struct("Escaping").field("bare", &bare).field("upper_case", &self.upper_case).finish()
    }
}

/// What some values show of how they were escaped.
struct Evidence {
    bare: [bool; 256],
    escaped: [bool; 256],
    upper_case: Option<bool>,
}

impl Evidence {
    fn of(raws: &[&[u8]]) -> Self {
        let mut evidence = Self { bare: [false; 256], escaped: [false; 256], upper_case: None };
        for raw in raws {
            let mut at = 0;
            while at < raw.len() {
                let Some(byte) = escape_at(raw, at) else {
                    evidence.bare[usize::from(raw[at])] = true;
                    at += 1;
                    continue;
                };
                evidence.escaped[usize::from(byte)] = true;
                let letter = raw[at + 1..at + 3].iter().find(|digit| digit.is_ascii_alphabetic());
                evidence.upper_case = evidence.upper_case.or(letter.map(u8::is_ascii_uppercase));
                at += 3;
            }
        }
        evidence
    }

    fn escapes_all(&self) -> bool {
        let some = (0..=u8::MAX).any(|byte| byte.is_ascii_alphanumeric() && self.escaped[usize::from(byte)]);
        some && !self.bare.contains(&true)
    }

    fn is_empty(&self) -> bool {
        !self.bare.contains(&true) && !self.escaped.contains(&true)
    }
}

/// The unreserved punctuation of RFC 3986, section 2.3.
pub(super) const PUNCTUATION: &[u8] = b"-._~";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(escaping: &Escaping, value: &[u8]) -> String {
        let mut out = Vec::new();
        escaping.encode(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn bytes_beyond_ascii_are_never_left_bare() {
        let escaping = Escaping::learn(&["\u{31b}%ff".as_bytes()], &[], PUNCTUATION);
        let mut out = Vec::new();
        escaping.encode(b"a\xcc\xff", &mut out);
        assert_eq!(out, b"a%cc%ff");
    }

    #[test]
    fn decodes_both_cases_and_keeps_what_is_no_escape() {
        assert_eq!(percent_decode(b"u%8C%8c+%zz%4"), b"u\x8c\x8c+%zz%4");
    }

    #[test]
    fn a_value_seen_escaped_whole_makes_every_byte_escaped() {
        let escaping = Escaping::learn(&[b"%41%62%ff"], &[b"abc-"], PUNCTUATION);
        assert_eq!(encoded(&escaping, b"Zz-"), "%5a%7a%2d");
    }

    #[test]
    fn own_values_count_before_similar_ones() {
        let escaping = Escaping::learn(&[b"a%21"], &[b"!%7e*"], PUNCTUATION);
        assert_eq!(encoded(&escaping, b"!~*-"), "%21%7e*-");
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(value: Vec<u8>, own: Vec<u8>, similar: Vec<u8>) {
            let mut out = Vec::new();
            Escaping::learn(&[&own], &[&similar], PUNCTUATION).encode(&value, &mut out);
            prop_assert_eq!(percent_decode(&out), value);
        }

        #[test]
        fn what_one_escaping_wrote_another_learns(value: Vec<u8>, bare: Vec<u8>, upper: bool) {
            let mut first = Escaping::learn(&[], &[], &bare);
            first.upper_case = upper;
            let mut raw = Vec::new();
            first.encode(&value, &mut raw);
            let mut again = Vec::new();
            Escaping::learn(&[&raw], &[], PUNCTUATION).encode(&value, &mut again);
            prop_assert_eq!(again, raw);
        }
    }
}
