//! Which client a peer id names, and its version (BEP 20, and what clients do beyond it).
//!
//! A peer id is free text: the name is what the peer claims, no more.

use std::borrow::Cow;
use std::fmt;

use crate::PeerId;

mod clients;
mod version;

use clients::{AZUREUS, BEGINNINGS, FURTHER_IN, PRINTABLE, SHADOW, WITHOUT_DASH};
use version::Scheme;

/// A client as its peer id names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientName {
    /// The client; its letters where they follow a convention and stand in no table.
    pub name: Cow<'static, str>,
    /// Its version, where the peer id tells one.
    pub version: Option<String>,
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{} {version}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl PeerId {
    /// The peer id as text, each byte that is not printable ASCII, and `%`, as `%XX`.
    pub fn readable(&self) -> String {
        let mut text = String::with_capacity(self.0.len());
        for &byte in &self.0 {
            match byte {
                b'%' => text.push_str("%25"),
                b' '..=b'~' => text.push(char::from(byte)),
                _ => text.push_str(&format!("%{byte:02X}")),
            }
        }
        text
    }

    /// How many bytes at its beginning name the client and its version: the same in all runs of that client, the rest
    /// being drawn at random. 0 where it follows no known convention.
    pub fn client_part(&self) -> usize {
        // Whoever the two letters stand for, what follows them is a version.
        if self.0[0] == b'-' && self.0[7] == b'-' {
            return 8;
        }
        identify(&self.0).map_or(0, |identified| identified.length)
    }
}

/// The client that `id` names; `None` where it follows no known convention.
pub fn client_name(id: &PeerId) -> Option<ClientName> {
    identify(&id.0).map(|identified| identified.client)
}

/// The client that goes by these two letters, as DHT messages name theirs (BEP 5, "KRPC protocol"; the letters are
/// those of peer ids).
pub fn client_of_letters(letters: [u8; 2]) -> Option<&'static str> {
    let named = AZUREUS.iter().find(|(code, ..)| **code == letters).map(|(_, name, _)| *name);
    // aria2 has them in the DHT alone.
    named.or_else(|| (letters == *b"A2").then_some("aria2"))
}

/// A client, and how many bytes at the beginning of the id name the client and its version.
struct Identified {
    client: ClientName,
    length: usize,
}

impl Identified {
    fn new(name: impl Into<Cow<'static, str>>, version: Option<String>, length: usize) -> Option<Self> {
        Some(Self { client: ClientName { name: name.into(), version }, length })
    }
}

/// The conventions, those that prove more before those that prove less.
fn identify(id: &[u8; 20]) -> Option<Identified> {
    spoofing(id)
        .or_else(|| azureus_style(id))
        .or_else(|| beginning(id))
        .or_else(|| bitcomet_style(id))
        .or_else(|| binary_version(id))
        .or_else(|| shadow_style(id))
        .or_else(|| further_in(id))
        .or_else(|| zeros_first(id))
        .or_else(|| shareaza(id))
        .or_else(|| unknown_letters(id))
}

/// BitSpirit takes over the beginning of other clients' ids; the end stays its own.
fn spoofing(id: &[u8; 20]) -> Option<Identified> {
    if !id.ends_with(b"UDP0") && !id.ends_with(b"HTTPBT") {
        return None;
    }
    binary_version(id).or_else(|| bitcomet_style(id)).or_else(|| Identified::new("BitSpirit", None, 0))
}

/// A dash, two characters of the client, four of the version, a dash.
fn azureus_style(id: &[u8; 20]) -> Option<Identified> {
    let [b'-', first, second, ..] = *id else { return None };
    let letters = [first, second];
    let (_, name, scheme) = *AZUREUS.iter().find(|(code, ..)| **code == letters)?;
    let is_closed = id[7] == b'-';
    if !is_closed && !WITHOUT_DASH.contains(&&letters) {
        return None;
    }
    let (name, scheme) = match (&letters, &id[3..7]) {
        // BitTorrent 6.0 beta was built of µTorrent, which has no version 6, and kept its letters.
        (b"UT", b"600B") => return Identified::new("Mainline", Some("6.0 (Beta)".to_owned()), 8),
        // Flud and Folx write the same letters; the fourth character is a digit of Flud's alone.
        (b"FL", [_, _, third, fourth]) if !third.is_ascii_digit() || !fourth.is_ascii_digit() => {
            ("Folx", Scheme::Folx)
        }
        _ => (name, scheme),
    };
    let read = scheme.read(&id[3..]);
    // Without the dash, the version alone shows that the letters are those of a client.
    if !is_closed && read.is_none() {
        return None;
    }
    let mut version = read.as_ref().map(|(version, _)| version.clone());
    // Clients that took over the letters of ZipTorrent go on like this.
    if letters == *b"ZT" && id[8..].starts_with(b"bLAde") {
        version = version.map(|version| version + " (fake)");
    }
    Identified::new(name, version, if is_closed { 8 } else { 3 + read.map_or(0, |(_, length)| length) })
}

/// A beginning of its own.
fn beginning(id: &[u8; 20]) -> Option<Identified> {
    let own =
        BEGINNINGS.iter().filter(|(start, ..)| id.starts_with(start)).find_map(|&(start, name, scheme)| {
            let read = scheme.read(&id[start.len()..]);
            // A short beginning means something only before a version, where there should be a version.
            if read.is_none() && scheme != Scheme::Absent && start.len() <= 3 {
                return None;
            }
            let (version, length) = read.map_or((None, 0), |(version, length)| (Some(version), length));
            Identified::new(name, version, start.len() + length)
        });
    own.or_else(|| {
        let (start, name, version) = PRINTABLE.iter().find(|(start, ..)| id.starts_with(start))?;
        let is_printable = id.iter().all(|byte| byte.is_ascii_graphic());
        is_printable.then(|| Identified::new(*name, version.map(str::to_owned), start.len()))?
    })
}

/// `exbc`, then a byte of the major and one of the minor version (BEP 20); two modified clients have other letters.
fn bitcomet_style(id: &[u8; 20]) -> Option<Identified> {
    let (major, minor) = (id[4], id[5]);
    if id.starts_with(b"exbc") && id[6..10] == *b"LORD" {
        // From 1 on, BitLord's minor version has no zero in front.
        let version = if major == 0 { format!("{major}.{minor:02}") } else { format!("{major}.{minor}") };
        return Identified::new("BitLord", Some(version), 10);
    }
    let name = match &id[..4] {
        b"exbc" => "BitComet",
        b"FUTB" => "BitComet (Solidox mod)",
        b"xUTB" => "BitComet (mod 2)",
        _ => return None,
    };
    Identified::new(name, Some(format!("{major}.{minor:02}")), 6)
}

/// Two bytes of the version, then two letters: BitSpirit, Rufus, and BitMagnet before Rufus.
fn binary_version(id: &[u8; 20]) -> Option<Identified> {
    let (major, minor) = (id[0], id[1]);
    let parts = || format!("{major}.{}.{}", minor / 10, minor % 10);
    match &id[2..4] {
        b"BS" if major == 0 && minor < 10 => {
            Identified::new("BitSpirit", Some(format!("v{}", minor.max(1))), 4)
        }
        b"RS" if major < 10 && minor < 100 => Identified::new("Rufus", Some(parts()), 4),
        b"BM" if major < 10 && minor < 100 => Identified::new("BitMagnet", Some(parts()), 4),
        _ => None,
    }
}

/// One character of the client, up to five of the version, dashes (BEP 20). Before that, the version was three bytes,
/// with a zero in the ninth place.
fn shadow_style(id: &[u8; 20]) -> Option<Identified> {
    let (_, name) = *SHADOW.iter().find(|(letter, _)| *letter == id[0])?;
    let [major, minor, patch] = [id[1], id[2], id[3]];
    if id[8] == 0 && [major, minor, patch].iter().all(|&part| part < b' ') {
        return Identified::new(name, Some(format!("{major}.{minor}.{patch}")), 4);
    }
    let version = version::shadow(id[1..].first_chunk()?)?;
    Identified::new(name, version, if id[6..9] == *b"---" { 9 } else { 6 })
}

fn further_in(id: &[u8; 20]) -> Option<Identified> {
    let (at, text, name, version) = FURTHER_IN.iter().find(|(at, text, ..)| id[*at..].starts_with(text))?;
    Identified::new(*name, version.map(str::to_owned), at + text.len())
}

/// The first clients drew the last eight bytes and left the others zero; I2PSnark has a mark between.
fn zeros_first(id: &[u8; 20]) -> Option<Identified> {
    let zeros = id.iter().position(|&byte| byte != 0)?;
    match zeros {
        9 if id[9..12] == [3; 3] => Identified::new("I2PSnark", None, 12),
        12 => Identified::new("Mainline", None, 12),
        _ => None,
    }
}

/// Shareaza's last four bytes follow from the 16 before, of which none is zero.
fn shareaza(id: &[u8; 20]) -> Option<Identified> {
    let follows = (0..4).all(|at| id[16 + at] == id[at] ^ id[15 - at]);
    (follows && !id[..16].contains(&0)).then(|| Identified::new("Shareaza", None, 0))?
}

/// What follows a convention, by its letters, where they stand in no table.
fn unknown_letters(id: &[u8; 20]) -> Option<Identified> {
    if let [b'-', first, second, ref version @ .., b'-'] = id[..8]
        && first.is_ascii_alphanumeric()
        && second.is_ascii_alphanumeric()
    {
        let name = [first, second].map(char::from).iter().collect::<String>();
        return Identified::new(name, Some(version::of_unknown(version.try_into().ok()?)?), 8);
    }
    if id[0].is_ascii_alphabetic() && id[6..9] == *b"---" {
        let version = version::shadow(id[1..].first_chunk()?)??;
        return Identified::new(char::from(id[0]).to_string(), Some(version), 9);
    }
    None
}

#[cfg(test)]
mod tests;
