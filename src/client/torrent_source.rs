//! Torrent files, from a path or over http(s).

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use bittrace_protocol::magnet::Magnet;
use bittrace_protocol::metainfo::PieceLayers;
use bittrace_protocol::{DecodeError, Metainfo};
use bytes::Bytes;

use crate::os::check_path;
use crate::{Error, https};

/// A torrent file.
#[derive(Debug, Clone)]
pub struct TorrentFile {
    /// Its bytes, as they came.
    pub bytes: Bytes,
    /// What they say.
    pub metainfo: Metainfo,
}

impl TorrentFile {
    /// Reads a torrent from a path, or fetches it where `place` is an http or https URL.
    ///
    /// # Errors
    /// When it cannot be read or fetched, is a URL of another kind, is larger than 64 MiB (24 MiB where it is fetched), has more than 120,000 files, or is no torrent.
    pub async fn load(place: &str, limit: Duration) -> Result<Self, Error> {
        if is_url(place) {
            return Self::fetch(place, limit).await;
        }
        if is_other_url(place) && !Path::new(place).exists() {
            return Err(Error::OtherScheme { url: place.to_owned() });
        }
        Self::read(Path::new(place))
    }

    /// Reads a torrent from a path.
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    pub fn read(path: &Path) -> Result<Self, Error> {
        let wrong = |source| Error::ReadTorrent { path: path.to_owned(), source };
        let file = check_path(path).and_then(|()| std::fs::File::open(path)).map_err(wrong)?;
        let mut bytes = Vec::new();
        file.take(MAX_TORRENT + 1).read_to_end(&mut bytes).map_err(wrong)?;
        let name = path.display().to_string();
        if bytes.len() as u64 > MAX_TORRENT {
            return Err(Error::TorrentTooLarge { name, limit: MAX_TORRENT });
        }
        Self::decode(name, bytes.into())
    }

    /// Fetches a torrent, through redirects, within `limit`.
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    pub async fn fetch(url: &str, limit: Duration) -> Result<Self, Error> {
        let wrong = |source| Error::FetchTorrent { url: url.to_owned(), source };
        let answer = https::client(limit).map_err(wrong)?.get(url).send().await.map_err(wrong)?;
        if !answer.status().is_success() {
            return Err(Error::TorrentStatus { url: url.to_owned(), status: answer.status().to_string() });
        }
        match https::body(answer, MAX_FETCHED).await.map_err(wrong)? {
            Some(bytes) => Self::decode(url.to_owned(), bytes),
            None => Err(Error::TorrentTooLarge { name: url.to_owned(), limit: MAX_FETCHED }),
        }
    }

    /// The torrent file that a magnet link makes with the info dictionary and the piece layers that peers sent.
    ///
    /// # Errors
    /// As for [`load`](Self::load), but for the size.
    pub fn of_metadata(magnet: &Magnet, info: &[u8], layers: &PieceLayers) -> Result<Self, Error> {
        let name = magnet.name.clone().unwrap_or_else(|| magnet.hashes.handshake().to_string());
        Self::decode(name, magnet.torrent_file(info, layers).into())
    }

    fn decode(name: String, bytes: Bytes) -> Result<Self, Error> {
        let admit = |files| if files > MAX_FILES { Err(Refusal::Files(files)) } else { Ok(()) };
        match Metainfo::decode_bounded(&bytes, MAX_VALUES, admit) {
            Ok(metainfo) => Ok(Self { bytes, metainfo }),
            Err(Refusal::Malformed(source)) => Err(Error::NotATorrent { name, source }),
            Err(Refusal::Files(files)) => Err(Error::TooManyFiles { name, files, limit: MAX_FILES }),
        }
    }
}

/// Why the bytes of a torrent file are not used.
enum Refusal {
    Malformed(DecodeError),
    /// So many files are too many.
    Files(usize),
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}

/// Whether a torrent's place is a URL rather than a path.
pub fn is_url(place: &str) -> bool {
    let scheme = place.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("http" | "https"))
}

/// Whether it is a URL of another scheme, or a magnet link.
fn is_other_url(place: &str) -> bool {
    let Some((scheme, rest)) = place.split_once(':') else { return false };
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_scheme && (rest.starts_with("//") || scheme.eq_ignore_ascii_case("magnet"))
}

/// Torrents of terabytes have 20 MiB.
const MAX_TORRENT: u64 = 64 * 1024 * 1024;
/// A server may send a thousandth of that, compressed.
const MAX_FETCHED: u64 = 24 * 1024 * 1024;
/// A file takes half a KiB while a torrent is downloaded, so that these stay below 64 MiB. The largest torrents that are
/// passed around have some 100,000.
const MAX_FILES: usize = 120_000;
/// More than such a torrent has: a file with folders, attributes and hashes has up to 25, keys counted.
const MAX_VALUES: usize = 3_000_000;
