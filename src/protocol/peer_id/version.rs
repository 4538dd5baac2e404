//! How clients write their version into a peer id.

/// A way to write a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// So many parts of one character each, a letter going on from 9: `4520` is 4.5.2 of three.
    Dotted(usize),
    /// Two parts of two digits: `0303` is 3.3.
    Pairs,
    /// Two digits of the major version and two of the minor: `0171` is 1.71.
    MajorMinor,
    /// `4060` is 4.0.6 and before that `2940` is 2.94; the last character marks betas and builds between
    /// releases.
    Transmission,
    /// Two parts, then a third or a letter for what is no release: `22B1` is 2.2 beta 1.
    KTorrent,
    /// Numbers between dashes: `1-36-0-`.
    Dashed,
    /// Text up to a dash: `2.7.2-`.
    UntilDash,
    /// Four digits of a build.
    Build,
    /// Three digits, then `d` for a debug build.
    Xbt,
    /// A letter of the major version and two characters: `A0C` is 1.0.6.
    BitsOnWheels,
    /// Up to five characters of an alphabet of 64, padded with dashes.
    Shadow,
    /// None that is known.
    Unknown,
}

impl Scheme {
    /// The version that `bytes` begin with, if they keep to the scheme.
    pub(super) fn read(self, bytes: &[u8]) -> Option<String> {
        match self {
            Self::Dotted(parts) => Some(dotted(&numbers(bytes.get(..parts)?)?)),
            Self::Pairs => {
                let [major, minor] = pairs(bytes)?;
                Some(format!("{major}.{minor}"))
            }
            Self::MajorMinor => {
                let [major, minor] = pairs(bytes)?;
                Some(format!("{major}.{minor:02}"))
            }
            Self::Transmission => transmission(bytes),
            Self::KTorrent => {
                let parts = numbers(bytes.get(..2)?)?;
                let last = numbers(bytes.get(3..4)?)?[0];
                match bytes[2] {
                    b'B' => Some(format!("{} beta {last}", dotted(&parts))),
                    b'R' => Some(format!("{} RC {last}", dotted(&parts))),
                    b'D' => Some(format!("{} dev", dotted(&parts))),
                    _ => Some(dotted(&numbers(&bytes[..3])?)),
                }
            }
            Self::Dashed => dashed(bytes),
            Self::UntilDash => {
                let text = &bytes[..bytes.iter().position(|&byte| byte == b'-')?];
                let fits = text.first().is_some_and(u8::is_ascii_digit)
                    && text.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'.');
                fits.then(|| String::from_utf8_lossy(text).into_owned())
            }
            Self::Build => {
                let digits = bytes.get(..4).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
                Some(format!("(build {})", String::from_utf8_lossy(digits)))
            }
            Self::Xbt => {
                let digits = bytes.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
                let debug = if bytes.get(3) == Some(&b'd') { " (debug)" } else { "" };
                Some(dotted(&numbers(digits)?) + debug)
            }
            Self::BitsOnWheels => match bytes.get(..3)? {
                b"A0B" => Some("1.0.5".to_owned()),
                b"A0C" => Some("1.0.6".to_owned()),
                _ => None,
            },
            Self::Shadow => {
                let end = bytes.iter().position(|&byte| byte == b'-').unwrap_or(bytes.len());
                let parts: Option<Vec<u32>> = bytes[..end].iter().map(|&byte| place_of_64(byte)).collect();
                parts.filter(|parts| !parts.is_empty()).map(|parts| dotted(&parts))
            }
            Self::Unknown => None,
        }
    }

    /// How many of `bytes` the version takes, what ends it included; 0 where there is none.
    pub(super) fn length(self, bytes: &[u8]) -> usize {
        if self.read(bytes).is_none() {
            return 0;
        }
        match self {
            Self::Dotted(parts) => parts,
            Self::Pairs | Self::MajorMinor | Self::Transmission | Self::KTorrent | Self::Build => 4,
            // Three numbers, and a dash behind each.
            Self::Dashed => {
                let dashes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'-');
                dashes.map(|(at, _)| at + 1).nth(2).unwrap_or(0)
            }
            Self::UntilDash => bytes.iter().position(|&byte| byte == b'-').map_or(0, |at| at + 1),
            Self::Xbt => 3 + usize::from(bytes.get(3) == Some(&b'd')),
            Self::BitsOnWheels => 3,
            Self::Shadow => 5,
            Self::Unknown => 0,
        }
    }
}

fn transmission(bytes: &[u8]) -> Option<String> {
    let parts = numbers(bytes.get(..4)?)?;
    let suffix = match bytes[3] {
        b'B' => " beta",
        b'X' | b'Z' => "+",
        _ => "",
    };
    Some(match (bytes[0], bytes[1], bytes[2]) {
        (b'0', b'0', b'0') => format!("0.{}", parts[3]),
        (b'0', b'0', _) => format!("0.{}{}", parts[2], parts[3]),
        (b'0'..=b'3', _, _) => format!("{}.{}{}{suffix}", parts[0], parts[1], parts[2]),
        _ => format!("{}{suffix}", dotted(&parts[..3])),
    })
}

/// Numbers, each with a dash behind it, at most two digits long; a second dash in a row ends them.
fn dashed(bytes: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    let mut rest = bytes;
    while let Some(end) = rest.iter().position(|&byte| byte == b'-') {
        let digits = &rest[..end];
        if !(1..=2).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
            break;
        }
        parts.push(std::str::from_utf8(digits).ok()?.parse().ok()?);
        rest = &rest[end + 1..];
        if parts.len() == 3 {
            break;
        }
    }
    (parts.len() == 3).then(|| dotted(&parts))
}

fn pairs(bytes: &[u8]) -> Option<[u32; 2]> {
    let digits = bytes.get(..4).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let pair = |at: usize| u32::from(digits[at] - b'0') * 10 + u32::from(digits[at + 1] - b'0');
    Some([pair(0), pair(2)])
}

/// Each character as a number: digits, then letters of either case from 10 on.
fn numbers(bytes: &[u8]) -> Option<Vec<u32>> {
    bytes.iter().map(|&byte| char::from(byte).to_digit(36)).collect()
}

/// A character of Shadow's alphabet (BEP 20) as a number.
fn place_of_64(byte: u8) -> Option<u32> {
    match byte {
        b'0'..=b'9' => Some(u32::from(byte - b'0')),
        b'A'..=b'Z' => Some(u32::from(byte - b'A') + 10),
        b'a'..=b'z' => Some(u32::from(byte - b'a') + 36),
        b'.' => Some(62),
        _ => None,
    }
}

fn dotted(parts: &[u32]) -> String {
    parts.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
}
