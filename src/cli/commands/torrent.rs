//! `bittrace torrent show`: what a .torrent says, and which of its bytes say it.

use std::io::{self, Read, Write};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use bittrace_protocol::metainfo::{File, Metainfo};
use bittrace_protocol::{Field, Geometry, Hex, Role, Timestamp, Value as FieldValue};
use bittrace_trace::units::{count, counted, size};
use serde_json::{Map, Value, json};

use crate::args::{Common, TorrentFormat, TorrentShow};
use crate::failure::warn;
use crate::print::json::write_line;
use crate::print::output::{Look, Output, styles};
use crate::print::page::Page;
use crate::print::table::{Column, printable, wrap};
use crate::print::units::rfc3339;
use crate::query::fields::object;

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
        let hint = match is_capture(&bytes) {
            true => "; it looks like a capture: try bittrace analyze",
            false => "",
        };
        anyhow!("{name}: {what}: {error}{hint}")
    })?;
    Ok(NamedTorrent { name, bytes, metainfo })
}

/// The first bytes of pcap in either order, pcapng, gzip and zstd.
fn is_capture(bytes: &[u8]) -> bool {
    let magic: [&[u8]; 7] = [
        b"\xd4\xc3\xb2\xa1",
        b"\xa1\xb2\xc3\xd4",
        b"\x4d\x3c\xb2\xa1",
        b"\xa1\xb2\x3c\x4d",
        b"\x0a\x0d\x0d\x0a",
        b"\x1f\x8b",
        b"\x28\xb5\x2f\xfd",
    ];
    magic.iter().any(|magic| bytes.starts_with(magic))
}

/// Runs the command.
pub(crate) fn show(arguments: &TorrentShow, common: Common, output: &mut Output) -> Result<()> {
    let file = read_torrent(&arguments.path)?;
    let fields = Metainfo::fields(&file.bytes).map_err(|error| anyhow!("{}: {error}", file.name))?;
    match arguments.format {
        TorrentFormat::Json => write_line(&json_object(&file, &fields), output)?,
        TorrentFormat::Table => {
            let limit = if arguments.limit == 0 || common.verbose { usize::MAX } else { arguments.limit };
            let look = output.look;
            Sheet { metainfo: &file.metainfo, look, limit }.write(&fields, output)?;
        }
    }
    Ok(())
}

/// Writes what a torrent holds, without its bytes and with the first of its files.
pub(crate) fn write_contents(metainfo: &Metainfo, look: Look, out: &mut dyn Write) -> Result<()> {
    let sheet = Sheet { metainfo, look, limit: 20 };
    sheet.write_facts(out)?;
    sheet.trackers(out)?;
    sheet.files(out)?;
    Ok(())
}

struct Sheet<'a> {
    metainfo: &'a Metainfo,
    look: Look,
    /// How many files are listed.
    limit: usize,
}

impl Sheet<'_> {
    fn write(&self, fields: &[Field], out: &mut dyn Write) -> Result<()> {
        self.write_facts(out)?;
        self.trackers(out)?;
        self.files(out)?;
        self.values(fields, out)?;
        for fault in &self.metainfo.faults {
            writeln!(out, "{}", self.look.paint(styles::WARN, &fault.to_string()))?;
        }
        Ok(())
    }

    fn write_facts(&self, out: &mut dyn Write) -> Result<()> {
        let metainfo = self.metainfo;
        writeln!(out, "{}", self.look.paint(styles::HEADING, &printable(&metainfo.name.to_string())))?;
        for (name, value) in facts(metainfo) {
            let lines = wrap(&printable(&value), self.look.width.saturating_sub(18));
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
        self.table("Trackers", &columns, rows.collect(), usize::MAX, out)
    }

    fn files(&self, out: &mut dyn Write) -> io::Result<()> {
        let metainfo = self.metainfo;
        let rows = metainfo.files.iter().enumerate().map(|(at, file)| {
            let pieces = metainfo.placement().map(|geometry| geometry.pieces_of(at));
            let pieces = match pieces {
                Some(pieces) if pieces.is_empty() => "none".to_owned(),
                Some(pieces) if pieces.len() == 1 => pieces.start.to_string(),
                Some(pieces) => format!("{}-{}", pieces.start, pieces.end - 1),
                None => String::new(),
            };
            vec![count(file.length), pieces, path(metainfo, file), remarks(file)]
        });
        let columns = [
            Column::numbers("bytes"),
            Column::numbers("pieces"),
            Column::text("file", 20),
            Column::text("remarks", 8),
        ];
        self.table("Files", &columns, rows.collect(), self.limit, out)
    }

    fn values(&self, fields: &[Field], out: &mut dyn Write) -> io::Result<()> {
        let mut rows = Vec::new();
        for field in fields.iter().filter(|field| field.role == Role::Content) {
            rows.push(value_row(field, &field.name));
            if field.name == "info" {
                let values = field.children.iter().filter(|child| child.role == Role::Content);
                rows.extend(values.map(|child| value_row(child, &format!("info.{}", child.name))));
            }
        }
        let columns = [
            Column::numbers("first byte"),
            Column::numbers("last"),
            Column::text("value", 12),
            Column::text("says", 20),
        ];
        self.table("Bytes", &columns, rows, usize::MAX, out)
    }

    fn table(
        &self,
        heading: &str,
        columns: &[Column],
        rows: Vec<Vec<String>>,
        limit: usize,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut page = Page::new(self.look, out);
        page.heading(heading)?;
        let shown = rows.len().min(limit);
        page.table(columns, &rows[..shown])?;
        if shown < rows.len() {
            let more = format!("… {} more; --limit 0 shows all", count((rows.len() - shown) as u64));
            page.painted(&more, 2, styles::DIM)?;
        }
        Ok(())
    }
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
    facts.extend(metainfo.creation_date.map(|seconds| ("made", date(seconds))));
    let texts = [
        ("made by", &metainfo.created_by),
        ("comment", &metainfo.comment),
        ("encoding", &metainfo.encoding),
        ("source", &metainfo.source),
    ];
    facts.extend(texts.into_iter().filter_map(|(name, text)| Some((name, text.clone()?))));
    if metainfo.private {
        facts.push(("private", "yes: peers come from its trackers only".to_owned()));
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
        warn(common, &format!("{name}: {more}; bittrace torrent show tells all"));
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

fn value_row(field: &Field, name: &str) -> Vec<String> {
    let says = match &field.value {
        FieldValue::Unsigned(number) => number.to_string(),
        FieldValue::Signed(number) => number.to_string(),
        FieldValue::Number(digits) => digits.clone(),
        FieldValue::Text(text) => shortened(text),
        FieldValue::Bytes(bytes) => counted(bytes.len() as u64, "byte"),
        FieldValue::Payload(place) => counted(place.len() as u64, "byte"),
        FieldValue::List => format!("list of {}", content(field)),
        FieldValue::Map => format!("dictionary of {}", content(field)),
        _ => String::new(),
    };
    let last = field.span.end.saturating_sub(1);
    vec![field.span.start.to_string(), last.to_string(), name.to_owned(), says]
}

fn content(field: &Field) -> usize {
    field.children.iter().filter(|child| child.role == Role::Content).count()
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(200) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

fn json_object(file: &NamedTorrent, fields: &[Field]) -> Map<String, Value> {
    let metainfo = &file.metainfo;
    let files: Vec<Value> = metainfo
        .files
        .iter()
        .enumerate()
        .map(|(at, file)| {
            let pieces = metainfo.placement().map(|geometry| geometry.pieces_of(at));
            json!({
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
        })
        .collect();
    let object = json!({
        "file": file.name,
        "name": metainfo.name.to_string(),
        "info_hash": metainfo.info_hash.to_string(),
        "info_hash_v2": metainfo.info_hash_v2.map(|hash| Hex(&hash).to_string()),
        "version": metainfo.version.to_string(),
        "size": metainfo.total(),
        "piece_length": metainfo.piece_length,
        "pieces": metainfo.placement().map_or(0, Geometry::piece_count),
        "files": files,
        "trackers": metainfo.trackers(),
        "private": metainfo.private,
        "source": metainfo.source,
        "creation_date": metainfo.creation_date,
        "created_by": metainfo.created_by,
        "comment": metainfo.comment,
        "encoding": metainfo.encoding,
        "url_list": metainfo.url_list,
        "http_seeds": metainfo.http_seeds,
        "nodes": metainfo.nodes,
        "faults": metainfo.faults.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "ranges": ranges(fields),
        "fields": object(fields),
    });
    match object {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// The byte range of each value, first and last, under its name; those of `info` as `info.NAME`.
fn ranges(fields: &[Field]) -> Map<String, Value> {
    let mut ranges = Map::new();
    let range = |field: &Field| json!([field.span.start, field.span.end.saturating_sub(1)]);
    for field in fields.iter().filter(|field| field.role == Role::Content) {
        ranges.insert(field.name.to_string(), range(field));
        if field.name == "info" {
            for child in field.children.iter().filter(|child| child.role == Role::Content) {
                ranges.insert(format!("info.{}", child.name), range(child));
            }
        }
    }
    ranges
}
