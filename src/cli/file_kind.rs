//! Files of another kind than a command reads: what they look like, and which command reads them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use bittrace_trace::Capture;

/// What a file looks like by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A pcap or pcapng capture, or compressed data.
    Capture,
    /// A .torrent file.
    Torrent,
    /// What a client remembers of a download, with the client's name.
    ResumeData(&'static str),
    /// Bencoding without an info dictionary.
    OtherBencoding,
    /// JSON, such as the output of `--format json`.
    Json,
    /// CSV, such as the output of `--format csv`.
    Csv,
    /// A web page.
    WebPage,
    /// A magnet link, as text.
    MagnetLink,
    /// A key log for encrypted connections.
    KeyLog,
}

/// How much of a file is looked at. The info dictionary of a torrent follows its trackers.
const LOOK: u64 = 256 * 1024;

/// What resume data of clients contains.
const RESUME_DATA: [(&[u8], &str); 7] = [
    (b"libtorrent resume file", "libtorrent"),
    (b"9:fileguard", "uTorrent"),
    (b"10:.fileguard", "uTorrent"),
    (b"13:activity-date", "Transmission"),
    (b"11:chunks_done", "rTorrent"),
    (b"18:libtorrent_resume", "rTorrent"),
    (b"18:uncertain_pieces", "rTorrent"),
];

impl FileKind {
    /// The kind of a file, or of the link that its name is; nothing where the file cannot be read or its kind is unknown.
    /// Pipes are not read.
    pub(crate) fn of_path(path: &Path) -> Option<Self> {
        if is_magnet_link(&path.to_string_lossy()) && !path.exists() {
            return Some(Self::MagnetLink);
        }
        if !path.metadata().ok()?.is_file() {
            return None;
        }
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("aria2")) {
            return Some(Self::ResumeData("aria2"));
        }
        let mut begins = Vec::new();
        File::open(path).ok()?.take(LOOK).read_to_end(&mut begins).ok()?;
        Self::of_bytes(&begins)
    }

    /// The kind of a file that begins like this.
    pub(crate) fn of_bytes(begins: &[u8]) -> Option<Self> {
        if Capture::begins(begins) {
            return Some(Self::Capture);
        }
        if let [b'd', b'0'..=b'9' | b'e', ..] = begins {
            let contains = |text: &[u8]| begins.windows(text.len()).any(|window| window == text);
            if contains(b"4:infod") {
                return Some(Self::Torrent);
            }
            let resume_data = RESUME_DATA.iter().find(|(text, _)| contains(text));
            return Some(resume_data.map_or(Self::OtherBencoding, |(_, client)| Self::ResumeData(client)));
        }
        if begins.starts_with(b"bittrace state") {
            return Some(Self::ResumeData("bittrace"));
        }
        let text = begins.strip_prefix(b"\xef\xbb\xbf").unwrap_or(begins).trim_ascii_start();
        let starts = |word: &str| {
            text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
        };
        match text {
            _ if starts("<!doctype html") || starts("<html") => Some(Self::WebPage),
            _ if starts("magnet:?") => Some(Self::MagnetLink),
            _ if text.starts_with(b"MSE ") => Some(Self::KeyLog),
            _ if starts("n,time,") || starts("capture,") => Some(Self::Csv),
            [b'{', ..] | [b'[', b'{' | b'\n' | b'\r' | b' ', ..] => Some(Self::Json),
            _ => None,
        }
    }

    /// What the file looks like, and which command reads it.
    pub(crate) fn advice(self) -> String {
        match self {
            Self::Capture => "this looks like a capture: bittrace analyze FILE reads captures".to_owned(),
            Self::Torrent => "this looks like a torrent: use bittrace torrent show FILE or bittrace download FILE; \
                              analyze and extract take it with --torrent FILE beside a capture"
                .to_owned(),
            Self::ResumeData(client) => {
                format!("this looks like resume data of {client}, not the torrent: use the .torrent file of the download")
            }
            Self::OtherBencoding => "this is bencoded data without an info dictionary, so it is neither a torrent nor a \
                                     capture"
                .to_owned(),
            Self::Json => "this looks like JSON: bittrace writes JSON but does not read it; use the capture or torrent that \
                           the JSON was made from"
                .to_owned(),
            Self::Csv => "this looks like CSV: bittrace writes CSV but does not read it; use the capture that the CSV was \
                          made from"
                .to_owned(),
            Self::WebPage => "this is a web page: open the link in a browser and save the .torrent file itself".to_owned(),
            Self::MagnetLink => "this is a magnet link: bittrace download 'LINK' downloads its torrent, and bittrace torrent \
                                 fetch 'LINK' -o FILE.torrent fetches the torrent itself"
                .to_owned(),
            Self::KeyLog => "this looks like a key log: use --mse-keys FILE beside a capture".to_owned(),
        }
    }
}

/// Whether a name is a magnet link.
pub(crate) fn is_magnet_link(name: &str) -> bool {
    name.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("magnet:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_recognised_by_their_first_bytes() {
        for (begins, kind) in [
            (&b"\x0a\x0d\x0d\x0a\x1c\0\0\0"[..], Some(FileKind::Capture)),
            (b"d8:announce3:url4:infod6:lengthi1e", Some(FileKind::Torrent)),
            (b"d11:file-format22:libtorrent resume file", Some(FileKind::ResumeData("libtorrent"))),
            (b"d13:activity-datei17e", Some(FileKind::ResumeData("Transmission"))),
            (b"bittrace state 1\n", Some(FileKind::ResumeData("bittrace"))),
            (b"d1:ad2:id20:", Some(FileKind::OtherBencoding)),
            (b"{\"n\":1}", Some(FileKind::Json)),
            (b"n,time,elapsed\n", Some(FileKind::Csv)),
            (b"\n<!DOCTYPE HTML>", Some(FileKind::WebPage)),
            (b"magnet:?xt=urn:btih:", Some(FileKind::MagnetLink)),
            (b"MSE 10.0.0.1:1-10.0.0.2:2 ", Some(FileKind::KeyLog)),
            (b"some text", None),
            (b"", None),
        ] {
            assert_eq!(FileKind::of_bytes(begins), kind, "{}", String::from_utf8_lossy(begins));
        }
    }

    #[test]
    fn a_name_may_be_a_magnet_link() {
        assert_eq!(FileKind::of_path(Path::new("Magnet:?xt=urn:btih:00")), Some(FileKind::MagnetLink));
        assert_eq!(FileKind::of_path(Path::new("no such file")), None);
    }
}
