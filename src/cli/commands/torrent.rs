//! `bittrace torrent`: what a .torrent says, and which of its bytes say it; and the .torrent of a magnet link.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use bittrace_protocol::metainfo::{File, Metainfo, PieceHash, Version};
use bittrace_protocol::{Geometry, Hex, PieceIndex, Timestamp};
use bittrace_trace::units::{count, counted, size};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::json;

use crate::args::{Common, TorrentFormat, TorrentShow};
use crate::failure::warn;
use crate::file_kind::{FileKind, is_magnet_link};
use crate::print::json::write_long_line;
use crate::print::output::{Look, Output, styles};
use crate::print::page::Page;
use crate::print::table::{Column, wrap};
use crate::print::units::rfc3339;

mod fetch;
mod values;

pub(crate) use fetch::fetch;

use values::{NamedValue, TorrentValues};

/// A torrent file that was read, with the name it is shown under.
pub(crate) struct NamedTorrent {
    name: String,
    bytes: Vec<u8>,
    pub(crate) metainfo: Metainfo,
}

impl NamedTorrent {
    /// The file as it is.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Larger files are no torrents: those of a million files have some 100 MB.
const MAX_FILE: u64 = 256 << 20;

/// Reads the torrents that a command is given.
pub(crate) fn read_torrents(paths: &[PathBuf]) -> Result<Vec<Arc<Metainfo>>> {
    paths.iter().map(|path| Ok(Arc::new(read_torrent(path)?.metainfo))).collect()
}

/// Reads a torrent file; `-` is standard input.
pub(crate) fn read_torrent(path: &Path) -> Result<NamedTorrent> {
    let name = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        io::stdin()
            .take(MAX_FILE + 1)
            .read_to_end(&mut bytes)
            .with_context(|| format!("{name}: cannot be read"))?;
    } else {
        let file = std::fs::File::open(path).map_err(|error| match error.kind() {
            _ if is_magnet_link(&name) => anyhow!("{name}: {}", FileKind::MagnetLink.advice()),
            io::ErrorKind::NotFound => anyhow!("{name}: no such file"),
            _ => anyhow!(error).context(format!("{name}: cannot be opened")),
        })?;
        if path.is_dir() {
            bail!("{name}: a directory, not a .torrent file");
        }
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).with_context(|| format!("{name}: cannot be read"))?;
    }
    if bytes.is_empty() {
        bail!("{name}: empty, not a .torrent file");
    }
    if bytes.len() as u64 > MAX_FILE {
        bail!("{name}: larger than any .torrent file ({})", size(MAX_FILE));
    }
    let metainfo = Metainfo::decode(&bytes).map_err(|error| {
        let what =
            if bytes[0] == b'd' { "a .torrent file, but it cannot be read" } else { "not a .torrent file" };
        let hint = match FileKind::of_bytes(&bytes).filter(|kind| *kind != FileKind::Torrent) {
            Some(kind) => format!("; {}", kind.advice()),
            None => String::new(),
        };
        anyhow!("{name}: {what}: {error}{hint}")
    })?;
    Ok(NamedTorrent { name, bytes, metainfo })
}

/// Runs the command.
pub(crate) fn show(arguments: &TorrentShow, common: Common, output: &mut Output) -> Result<()> {
    let file = read_torrent(&arguments.path)?;
    match arguments.format {
        TorrentFormat::Json => {
            write_json(&file, common.verbose, output)?;
        }
        TorrentFormat::Table => {
            let values =
                TorrentValues::scan(&file.bytes).map_err(|error| anyhow!("{}: {error}", file.name))?;
            let limit = if arguments.limit == 0 || common.verbose { usize::MAX } else { arguments.limit };
            let look = output.look;
            Sheet { name: &file.name, metainfo: &file.metainfo, look, limit }.write(
                &values,
                common.verbose,
                output,
            )?;
        }
    }
    Ok(())
}

/// Writes all that a torrent says as one line of JSON.
fn write_json(file: &NamedTorrent, with_pieces: bool, output: &mut Output) -> Result<()> {
    let values = TorrentValues::scan(&file.bytes).map_err(|error| anyhow!("{}: {error}", file.name))?;
    write_long_line(&JsonTorrent { file, values: &values, with_pieces }, output)?;
    Ok(())
}

/// Writes what a torrent holds, without its bytes and with the first of its files.
pub(crate) fn write_contents(metainfo: &Metainfo, look: Look, out: &mut dyn Write) -> Result<()> {
    let sheet = Sheet { name: "", metainfo, look, limit: 20 };
    sheet.write_facts(out)?;
    sheet.trackers(out)?;
    sheet.files(out)?;
    Ok(())
}

struct Sheet<'a> {
    /// The file, as it was named.
    name: &'a str,
    metainfo: &'a Metainfo,
    look: Look,
    /// How many files are listed.
    limit: usize,
}

impl Sheet<'_> {
    fn write(&self, values: &TorrentValues<'_>, with_pieces: bool, out: &mut dyn Write) -> Result<()> {
        self.write_facts(out)?;
        self.trackers(out)?;
        self.files(out)?;
        if with_pieces {
            let rows = pieces(self.metainfo).map(|(piece, hash)| vec![piece.to_string(), hash]).collect();
            self.table("Pieces", &[Column::numbers("piece"), Column::text("hash", 40)], rows, 0, out)?;
        }
        self.values(values, out)?;
        for fault in &self.metainfo.faults {
            writeln!(out, "{}", self.look.paint(styles::WARN, &fault.to_string()))?;
        }
        Ok(())
    }

    fn write_facts(&self, out: &mut dyn Write) -> Result<()> {
        let metainfo = self.metainfo;
        writeln!(out, "{}", self.look.paint(styles::HEADING, &metainfo.name.to_string()))?;
        for (name, value) in facts(metainfo) {
            let lines = wrap(&value, self.look.width.saturating_sub(18));
            for (number, line) in lines.iter().enumerate() {
                let name = if number == 0 { name } else { "" };
                writeln!(out, "  {}{line}", self.look.paint(styles::DIM, &format!("{name:<16}")))?;
            }
        }
        Ok(())
    }

    fn trackers(&self, out: &mut dyn Write) -> io::Result<()> {
        let tiers = self.metainfo.trackers();
        let rows = tiers.iter().enumerate().flat_map(|(tier, trackers)| {
            trackers.iter().map(move |tracker| vec![(tier + 1).to_string(), tracker.clone()])
        });
        let columns = [Column::numbers("tier"), Column::text("tracker", 20)];
        self.table("Trackers", &columns, rows.collect(), 0, out)
    }

    fn files(&self, out: &mut dyn Write) -> io::Result<()> {
        let metainfo = self.metainfo;
        let rows = metainfo.files.iter().enumerate().take(self.limit).map(|(at, file)| {
            let pieces = metainfo.placement().map(|geometry| geometry.pieces_of(at));
            let pieces = match pieces {
                Some(pieces) if pieces.is_empty() => "none".to_owned(),
                Some(pieces) if pieces.len() == 1 => pieces.start.to_string(),
                Some(pieces) => format!("{}-{}", pieces.start, pieces.end - 1),
                None => String::new(),
            };
            vec![at.to_string(), count(file.length), pieces, path(metainfo, file), remarks(file)]
        });
        // The numbers are those of BEP 53, which --select takes.
        let columns = [
            Column::numbers("n"),
            Column::numbers("bytes"),
            Column::numbers("pieces"),
            Column::text("file", 20),
            Column::text("remarks", 8),
        ];
        let more = metainfo.files.len().saturating_sub(self.limit);
        self.table("Files", &columns, rows.collect(), more, out)
    }

    fn values(&self, values: &TorrentValues<'_>, out: &mut dyn Write) -> io::Result<()> {
        let limit = self.limit.max(MIN_VALUES);
        let rows = values.named().take(limit).map(|value| {
            let last = value.value.end.saturating_sub(1);
            let key =
                value.key.as_ref().map_or(String::new(), |key| format!("{}-{}", key.start, key.end - 1));
            vec![value.value.start.to_string(), last.to_string(), key, value.name.clone(), value.says()]
        });
        let columns = [
            Column::numbers("first byte"),
            Column::numbers("last"),
            Column::text("key bytes", 9),
            Column::text("value", 12),
            Column::text("content", 20),
        ];
        let rows = rows.collect();
        self.table("Bytes", &columns, rows, values.named().skip(limit).count(), out)?;
        let Some(info) = values.info() else { return Ok(()) };
        let hashed = format!("bytes {} to {}, the value of info", info.start, info.end.saturating_sub(1));
        let is_sha1 = matches!(self.metainfo.version, Version::V1 | Version::Hybrid);
        let program = if is_sha1 { "sha1sum" } else { "sha256sum" };
        let text = match self.metainfo.version {
            Version::V1 => format!("The info hash is the SHA-1 of {hashed}."),
            Version::V2 | Version::Later(_) => {
                format!("The info hash v2 is the SHA-256 of {hashed}; the info hash is its first 20 bytes.")
            }
            Version::Hybrid => {
                format!(
                    "The info hash is the SHA-1 of {hashed}; the info hash v2 is the SHA-256 of the same bytes."
                )
            }
        };
        let mut page = Page::new(self.look, out);
        page.paragraph(&text, 2)?;
        page.paragraph("To check it by hand:", 2)?;
        let name = shell_word(self.name);
        let (first, length) = (info.start + 1, info.end - info.start);
        // On one line whatever its length, to be copied.
        writeln!(page, "    tail -c +{first} {name} | head -c {length} | {program}")
    }

    fn table(
        &self,
        heading: &str,
        columns: &[Column],
        rows: Vec<Vec<String>>,
        more: usize,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut page = Page::new(self.look, out);
        page.heading(heading)?;
        page.table(columns, &rows)?;
        if more > 0 {
            let more = format!("… {} more; --limit 0 shows all", count(more as u64));
            page.painted(&more, 2, styles::DIM)?;
        }
        Ok(())
    }
}

/// A file name for a command line: as it is where no shell takes it for anything else.
fn shell_word(name: &str) -> &str {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._/-+=,".contains(&byte);
    if name.bytes().all(is_plain) && !name.starts_with('-') { name } else { "FILE" }
}

fn facts(metainfo: &Metainfo) -> Vec<(&'static str, String)> {
    let mut facts = vec![("info hash", metainfo.info_hash.to_string())];
    facts.extend(metainfo.info_hash_v2.map(|hash| ("info hash v2", Hex(&hash).to_string())));
    facts.push(("version", metainfo.version.to_string()));
    let files = counted(metainfo.files.len() as u64, "file");
    facts.push(("size", format!("{} in {files}", counted(metainfo.total(), "byte"))));
    let length = size(u64::from(metainfo.piece_length));
    facts.push(match metainfo.placement().map_or(0, Geometry::piece_count) {
        0 => ("piece length", length),
        pieces => ("pieces", format!("{} of {length}", count(pieces.into()))),
    });
    if let Some(geometry) = metainfo.placement()
        && let Some(last) = geometry.piece_count().checked_sub(1)
        && let Some(bytes) = geometry.piece_size(bittrace_protocol::PieceIndex(last))
        && bytes != metainfo.piece_length
    {
        facts.push(("last piece", size(u64::from(bytes))));
    }
    facts.extend(metainfo.creation_date.map(|seconds| ("created", date(seconds))));
    let texts = [
        ("created by", &metainfo.created_by),
        ("comment", &metainfo.comment),
        ("encoding", &metainfo.encoding),
        ("source", &metainfo.source),
    ];
    facts.extend(texts.into_iter().filter_map(|(name, text)| Some((name, text.clone()?))));
    if metainfo.private {
        facts.push(("private", "yes: peers come only from its trackers".to_owned()));
    }
    facts.extend(metainfo.url_list.iter().map(|url| ("web seed", url.clone())));
    facts.extend(metainfo.http_seeds.iter().map(|url| ("http seed", url.clone())));
    facts.extend(metainfo.nodes.iter().map(|(host, port)| ("DHT node", format!("{host}:{port}"))));
    facts
}

/// A moment in seconds since 1970; the number itself where it is no date that a torrent can have.
fn date(seconds: i64) -> String {
    let moment = Timestamp::from_secs_nanos(seconds, 0);
    if seconds < 0 || i128::from(moment.as_nanos()) != i128::from(seconds) * 1_000_000_000 {
        return seconds.to_string();
    }
    rfc3339(moment)
}

/// Tells of the first faults of a torrent that is used.
pub(crate) fn warn_of_faults(name: &str, metainfo: &Metainfo, common: Common) {
    const TOLD: usize = 5;
    for fault in metainfo.faults.iter().take(TOLD) {
        warn(common, &format!("{name}: {fault}"));
    }
    if let Some(more) = metainfo.faults.len().checked_sub(TOLD).filter(|&more| more > 0) {
        let more = counted(more as u64, "more fault");
        warn(common, &format!("{name}: {more}; bittrace torrent show lists all"));
    }
}

fn path(metainfo: &Metainfo, file: &File) -> String {
    if metainfo.single_file {
        metainfo.name.to_string()
    } else {
        format!("{}/{}", metainfo.name, file.path_text())
    }
}

fn remarks(file: &File) -> String {
    let mut remarks = Vec::new();
    if file.is_padding() {
        remarks.push("padding".to_owned());
    }
    if let Some(target) = &file.symlink {
        let target: Vec<_> = target.iter().map(ToString::to_string).collect();
        remarks.push(format!("link to {}", target.join("/")));
    }
    for (letter, word) in [(b'x', "executable"), (b'h', "hidden")] {
        if file.attributes.contains(&letter) {
            remarks.push(word.to_owned());
        }
    }
    if !file.is_safe() && !file.path.is_empty() {
        remarks.push("unsafe path".to_owned());
    }
    remarks.join(", ")
}

/// The pieces whose hash is known, with it: of version 2 alone, the node of the hash tree.
fn pieces(metainfo: &Metainfo) -> impl Iterator<Item = (u32, String)> {
    let count = metainfo.placement().map_or(0, Geometry::piece_count).min(MAX_PIECES);
    (0..count).filter_map(|piece| {
        let hash = match metainfo.check_of(PieceIndex(piece))? {
            PieceHash::Sha1(hash) => Hex(&hash).to_string(),
            PieceHash::Node(hash, _) | PieceHash::Root(hash) => Hex(&hash).to_string(),
        };
        Some((piece, hash))
    })
}

/// What a torrent says, and all of its values. Its lists are written as they are walked through: a torrent may have millions
/// of files, and each would take a kilobyte as a value of its own.
struct JsonTorrent<'a> {
    file: &'a NamedTorrent,
    values: &'a TorrentValues<'a>,
    with_pieces: bool,
}

impl Serialize for JsonTorrent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let metainfo = &self.file.metainfo;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("file", &self.file.name)?;
        map.serialize_entry("name", &metainfo.name.to_string())?;
        map.serialize_entry("info_hash", &metainfo.info_hash.to_string())?;
        map.serialize_entry("info_hash_v2", &metainfo.info_hash_v2.map(|hash| Hex(&hash).to_string()))?;
        map.serialize_entry("version", &metainfo.version.to_string())?;
        map.serialize_entry("size", &metainfo.total())?;
        map.serialize_entry("piece_length", &metainfo.piece_length)?;
        map.serialize_entry("pieces", &metainfo.placement().map_or(0, Geometry::piece_count))?;
        map.serialize_entry("files", &JsonFiles(metainfo))?;
        map.serialize_entry("trackers", &json!(metainfo.trackers()))?;
        map.serialize_entry("private", &metainfo.private)?;
        map.serialize_entry("source", &metainfo.source)?;
        map.serialize_entry("creation_date", &metainfo.creation_date)?;
        map.serialize_entry("created_by", &metainfo.created_by)?;
        map.serialize_entry("comment", &metainfo.comment)?;
        map.serialize_entry("encoding", &metainfo.encoding)?;
        map.serialize_entry("url_list", &metainfo.url_list)?;
        map.serialize_entry("http_seeds", &metainfo.http_seeds)?;
        map.serialize_entry("nodes", &json!(metainfo.nodes))?;
        map.serialize_entry("faults", &metainfo.faults.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        map.serialize_entry("ranges", &JsonRanges(self.values, |value| Some(value.value)))?;
        map.serialize_entry("key_ranges", &JsonRanges(self.values, |value| value.key))?;
        if self.with_pieces {
            map.serialize_entry("piece_hashes", &JsonPieces(metainfo))?;
        }
        map.serialize_entry("fields", &self.values.json())?;
        map.end()
    }
}

/// The files of a torrent as a list.
struct JsonFiles<'a>(&'a Metainfo);

impl Serialize for JsonFiles<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(metainfo) = self;
        serializer.collect_seq(metainfo.files.iter().enumerate().map(|(at, file)| {
            let pieces = metainfo.placement().map(|geometry| geometry.pieces_of(at));
            json!({
                "number": at,
                "path": path(metainfo, file),
                "length": file.length,
                "pieces": pieces.filter(|pieces| !pieces.is_empty()).map(|pieces| [pieces.start, pieces.end - 1]),
                "padding": file.is_padding(),
                "attributes": String::from_utf8_lossy(&file.attributes),
                "symlink": file.symlink.as_ref().map(|path| {
                    path.iter().map(ToString::to_string).collect::<Vec<_>>().join("/")
                }),
                "pieces_root": file.pieces_root.map(|root| Hex(&root).to_string()),
            })
        }))
    }
}

/// The hashes of the pieces as a list.
struct JsonPieces<'a>(&'a Metainfo);

impl Serialize for JsonPieces<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(pieces(self.0).map(|(_, hash)| hash))
    }
}

/// First and last bytes by name, of values or of keys; of a name that stands twice, the first.
struct JsonRanges<'a>(&'a TorrentValues<'a>, fn(NamedValue<'_>) -> Option<Range<usize>>);

impl Serialize for JsonRanges<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(values, part) = self;
        let mut seen = HashSet::new();
        serializer.collect_map(values.named().filter_map(|value| {
            let name = value.name.clone();
            let range = part(value)?;
            seen.insert(name.clone()).then(|| (name, [range.start, range.end.saturating_sub(1)]))
        }))
    }
}

/// So many values are listed whatever the limit: a torrent has a dozen.
const MIN_VALUES: usize = 100;

/// More pieces are not listed: a torrent of version 2 can claim billions in a few bytes.
const MAX_PIECES: u32 = 4_000_000;
