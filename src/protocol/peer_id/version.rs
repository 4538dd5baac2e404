//! How clients write their version into a peer id.

/// A way to write a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// The id has no version.
    Absent,
    /// The id has no version, but this beginning was sent by this one version only.
    Always(&'static str),
    /// So many parts of one character each, a letter going on from 9: `4520` is 4.5.2 of three.
    Dotted(usize),
    /// Four characters, put where `a`, `b`, `c` and `d` stand in the text: `0332` is 0.3(32) for `a.b(cd)`.
    Shown(&'static str),
    /// Two parts of two digits: `0303` is 3.3.
    Pairs,
    /// Two digits of the major version and two of the minor: `0171` is 1.71.
    MajorMinor,
    /// As [`MajorMinor`](Self::MajorMinor), and four parts where the first digit is not 0: Tixati writes both.
    Tixati,
    /// `4060` is 4.0.6 and before that `2940` is 2.94; the last character marks betas and builds between
    /// releases.
    Transmission,
    /// Two parts, then a third or a letter for what is no release: `22B1` is 2.2 beta 1.
    KTorrent,
    /// Three hexadecimal digits, then a character for the kind of release: `170B` is 1.7.0 beta.
    MicroTorrent,
    /// As [`MicroTorrent`](Self::MicroTorrent); a fifth character in place of the dash makes the third part two digits
    /// long: `1110Q` is 1.1.10.
    MicroTorrentWide,
    /// Three parts; a third outside the alphabet is not known: `51R` is 5.1.27.
    FreeDownloadManager,
    /// Two digits; from 5 on only the first is of the version: `09` is 0.9.
    Folx,
    /// Two characters from version 2 on: `21` is 2.1. What version 1 writes is not known.
    MediaGet,
    /// `9990` is 9.9.9, `9992` is 9.9.92.
    Xfplay,
    /// Three parts of one digit and a build of three: `246326` is 2.4.6-326.
    BitLord,
    /// Three numbers, a dash after each: `1-36-0-`.
    Dashed,
    /// Three digits with dashes between them: `1-1-3`.
    DashedDigits,
    /// Three digits and four dashes: `100----`.
    Padded,
    /// Text up to a dash: `2.7.2-`.
    UntilDash,
    /// So many characters, as they stand.
    Block(usize),
    /// So many digits of a build.
    Build(usize),
    /// Three digits, then `d` for a debug build.
    Xbt,
    /// A letter of the major version and two characters: `A0C` is 1.0.6.
    BitsOnWheels,
}

impl Scheme {
    /// The version that `bytes` begin with and how many of them it takes, if they keep to the scheme.
    pub(super) fn read(self, bytes: &[u8]) -> Option<(String, usize)> {
        match self {
            Self::Absent => None,
            Self::Always(version) => Some((version.to_owned(), 0)),
            Self::Dotted(parts) => Some((dotted(&numbers(bytes.get(..parts)?)?), parts)),
            Self::Shown(layout) => Some((shown(layout, bytes.get(..4)?)?, 4)),
            Self::Pairs => {
                let [major, minor] = pairs(bytes)?;
                Some((format!("{major}.{minor}"), 4))
            }
            Self::Tixati if bytes.first() != Some(&b'0') => Self::Dotted(4).read(bytes),
            Self::MajorMinor | Self::Tixati => {
                let [major, minor] = pairs(bytes)?;
                Some((format!("{major}.{minor:02}"), 4))
            }
            Self::Transmission => Some((transmission(bytes.get(..4)?)?, 4)),
            Self::KTorrent => ktorrent(bytes.get(..4)?),
            Self::MicroTorrent => micro_torrent(bytes.get(..4)?),
            Self::MicroTorrentWide => {
                let wide = micro_torrent_wide(bytes.get(..5)?);
                wide.map(|version| (version, 5)).or_else(|| micro_torrent(bytes))
            }
            Self::FreeDownloadManager => {
                let parts = numbers(bytes.get(..2)?)?;
                let third = place_of_62(*bytes.get(2)?).map_or("x".to_owned(), |third| third.to_string());
                Some((format!("{}.{third}", dotted(&parts)), 3))
            }
            Self::Folx => match digits(bytes.get(..2)?)? {
                [major @ b'5'..=b'9', _] => Some((format!("{}.x", char::from(*major)), 2)),
                both => Self::Dotted(2).read(both),
            },
            Self::MediaGet if bytes.first() == Some(&b'1') => None,
            Self::MediaGet => Self::Dotted(2).read(bytes),
            Self::Xfplay if bytes.get(3) == Some(&b'0') => Self::Dotted(3).read(bytes),
            Self::Xfplay => Self::Shown("a.b.cd").read(bytes),
            Self::BitLord => {
                let (version, build) = digits(bytes.get(..6)?)?.split_at(3);
                Some((format!("{}-{}", dotted(&numbers(version)?), text(build)), 6))
            }
            Self::Dashed => dashed(bytes),
            Self::DashedDigits => match *bytes.first_chunk()? {
                [a, b'-', b, b'-', c] => Some((dotted(&numbers(digits(&[a, b, c])?)?), 5)),
                _ => None,
            },
            Self::Padded => {
                let (version, rest) = bytes.split_at_checked(3)?;
                rest.starts_with(b"----").then_some(())?;
                Some((dotted(&numbers(digits(version)?)?), 7))
            }
            Self::UntilDash => {
                let end = bytes.iter().position(|&byte| byte == b'-')?;
                Some((block(&bytes[..end])?, end + 1))
            }
            Self::Block(length) => Some((block(bytes.get(..length)?)?, length)),
            Self::Build(length) => Some((format!("(Build {})", text(digits(bytes.get(..length)?)?)), length)),
            Self::Xbt => {
                let version = dotted(&numbers(digits(bytes.get(..3)?)?)?);
                match bytes.get(3) {
                    Some(b'd') => Some((version + " (Debug)", 4)),
                    _ => Some((version, 3)),
                }
            }
            Self::BitsOnWheels => match bytes.get(..3)? {
                b"A0B" => Some(("1.0.5".to_owned(), 3)),
                b"A0C" => Some(("1.0.6".to_owned(), 3)),
                _ => None,
            },
        }
    }
}

/// The version of the Shadow style (BEP 20) in `bytes`, the nine after the letter of the client: characters of an
/// alphabet of 64, then dashes. Clients write fewer dashes than BEP 20 has, and put random characters where those were:
/// two dashes are wanted, and a third when there are five characters. Zeros at the end say nothing. `None` where the
/// bytes are not of this style; the version is `None` where there are dashes alone.
pub(super) fn shadow(bytes: &[u8; 8]) -> Option<Option<String>> {
    let written = bytes.iter().position(|&byte| byte == b'-')?;
    let dashes = match written {
        0 => 8,
        1..=3 => 5 - written,
        4 => 2,
        5 => 3,
        _ => return None,
    };
    bytes[written..written + dashes].iter().all(|&byte| byte == b'-').then_some(())?;
    if written == 0 {
        return Some(None);
    }
    digits(&bytes[..1])?;
    let place = |&byte: &u8| if byte == b'.' { Some(62) } else { place_of_62(byte) };
    let mut parts: Vec<u32> = bytes[..written].iter().map(place).collect::<Option<_>>()?;
    while parts.len() > 1 && parts.last() == Some(&0) {
        parts.pop();
    }
    Some(Some(dotted(&parts)))
}

/// The version of a client whose scheme is not known, in the four characters between its letters and the dash. Most
/// have three parts or four, so a fourth of zero is left out.
pub(super) fn of_unknown(bytes: &[u8; 4]) -> Option<String> {
    digits(&bytes[..1])?;
    let parts = numbers(bytes)?;
    Some(dotted(if parts[3] == 0 { &parts[..3] } else { &parts }))
}

fn transmission(bytes: &[u8]) -> Option<String> {
    let parts = numbers(bytes)?;
    let suffix = release(bytes[3]);
    Some(match bytes[..3] {
        [b'0', b'0', b'0'] => format!("0.{}", parts[3]),
        [b'0', b'0', _] => format!("0.{}{}", parts[2], parts[3]),
        [b'0'..=b'3', _, _] => format!("{}.{}{}{suffix}", parts[0], parts[1], parts[2]),
        _ => format!("{}{suffix}", dotted(&parts[..3])),
    })
}

/// `51` and a third part; `-` in place of the fourth character ends the id's beginning early.
fn ktorrent(bytes: &[u8]) -> Option<(String, usize)> {
    let length = if bytes[3] == b'-' { 3 } else { 4 };
    let first = dotted(&numbers(digits(&bytes[..2])?)?);
    let kind = match bytes[2] {
        b'B' => "Beta",
        b'R' => "RC",
        b'D' => "Dev",
        b'0' => return Some((first, length)),
        _ => return Some((format!("{first}.{}", place_of_62(bytes[2])?), length)),
    };
    Some((format!("{first} {kind} {}", place_of_62(bytes[3])?), 4))
}

fn micro_torrent(bytes: &[u8]) -> Option<(String, usize)> {
    let [a, b, c, kind] = *bytes.first_chunk()?;
    let part = |byte: u8| char::from(byte).to_digit(16);
    let version = dotted(&[part(a)?, part(b)?, part(c)?]);
    Some(match (bytes[..3] == *b"170", kind) {
        // The release candidate of 1.7.0 left the fourth character out.
        (true, b'-') => (version + " (RC)", 3),
        (false, b'-') => (version, 3),
        _ => (version + release(kind), 4),
    })
}

fn micro_torrent_wide(bytes: &[u8]) -> Option<String> {
    let kind = bytes[4];
    if !kind.is_ascii_alphanumeric() {
        return None;
    }
    let parts = numbers(digits(&bytes[..4])?)?;
    Some(format!("{}.{}.{}{}", parts[0], parts[1], parts[2] * 10 + parts[3], release(kind)))
}

/// What a character after the version says of it.
fn release(kind: u8) -> &'static str {
    match kind {
        b'A' => " (Alpha)",
        b'B' | b'b' => " (Beta)",
        b'd' => " (Debug)",
        b'X' | b'x' | b'Z' => " (Dev)",
        _ => "",
    }
}

/// Numbers, each with a dash after it, at most two digits long.
fn dashed(bytes: &[u8]) -> Option<(String, usize)> {
    let mut parts = Vec::new();
    let mut at = 0;
    while parts.len() < 3 {
        let length =
            bytes[at..].iter().position(|&byte| byte == b'-').filter(|length| (1..=2).contains(length))?;
        parts.push(text(digits(&bytes[at..at + length])?).parse().ok()?);
        at += length + 1;
    }
    Some((dotted(&parts), at))
}

fn pairs(bytes: &[u8]) -> Option<[u32; 2]> {
    let digits = numbers(digits(bytes.get(..4)?)?)?;
    Some([digits[0] * 10 + digits[1], digits[2] * 10 + digits[3]])
}

/// The four characters where `layout` has their places.
fn shown(layout: &str, bytes: &[u8]) -> Option<String> {
    let parts = numbers(bytes)?;
    let part = |place: char| match place {
        'a'..='d' => parts[place as usize - 'a' as usize].to_string(),
        _ => place.to_string(),
    };
    Some(layout.chars().map(part).collect())
}

/// Text that begins with a digit and is of letters, digits and dots.
fn block(bytes: &[u8]) -> Option<String> {
    let fits = bytes.first().is_some_and(u8::is_ascii_digit)
        && bytes.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'.');
    fits.then(|| text(bytes))
}

/// The bytes, where all are decimal digits.
fn digits(bytes: &[u8]) -> Option<&[u8]> {
    bytes.iter().all(u8::is_ascii_digit).then_some(bytes)
}

fn numbers(bytes: &[u8]) -> Option<Vec<u32>> {
    bytes.iter().map(|&byte| place_of_62(byte)).collect()
}

/// A character as a number: digits, then capital letters from 10 on, small ones from 36 on.
fn place_of_62(byte: u8) -> Option<u32> {
    match byte {
        b'0'..=b'9' => Some(u32::from(byte - b'0')),
        b'A'..=b'Z' => Some(u32::from(byte - b'A') + 10),
        b'a'..=b'z' => Some(u32::from(byte - b'a') + 36),
        _ => None,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn dotted(parts: &[u32]) -> String {
    parts.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
}
