//! The messages that are shown, written to a file: as NDJSON or CSV, as `analyze` writes them, or as pcapng with the packets
//! that carried them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use bittrace_trace::units::counted;
use bittrace_trace::{Capture, PacketCopier, Record};

use super::spool::{Spool, step_of};
use super::state::State;
use crate::print::csv::CsvTable;
use crate::print::message_json::JsonMessages;
use crate::query::row::{CaptureContext, Row};

/// A file that is being written.
pub(crate) struct Saving {
    path: PathBuf,
    format: Format,
    /// The messages, in their order.
    messages: Vec<u32>,
    written: usize,
}

enum Format {
    Json(Box<JsonMessages>, BufWriter<File>),
    Csv(Box<CsvTable>, BufWriter<File>),
    Packets(Box<Packets>),
}

/// Packets that are being copied.
struct Packets {
    out: PacketCopier<BufWriter<File>>,
    /// The files of the captures, and a bit for each packet that is wanted, 64 to a word.
    wanted: BTreeMap<u16, (PathBuf, Vec<u64>)>,
    reading: Option<(Capture, Vec<u64>)>,
}

/// How many messages, and packets, are written at once.
const STEP: usize = 64;
const PACKETS: usize = 512;

const READ_AGAIN: &str = "the captures were read again meanwhile; the file is not whole";

impl Saving {
    /// Begins a file with the messages that are shown now.
    ///
    /// # Errors
    /// In a sentence: when the name says no format, the file exists or cannot be made, or there is no message.
    pub(crate) fn begin(path: &Path, state: &State) -> Result<Self, String> {
        let messages: Vec<u32> = (0..state.list.len()).filter_map(|at| state.list.message(at)).collect();
        if messages.is_empty() {
            return Err("there is no message to save".to_owned());
        }
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let extension = extension.to_ascii_lowercase();
        if !["json", "ndjson", "jsonl", "csv", "pcapng"].contains(&extension.as_str()) {
            return Err(format!("{}: a name in .pcapng, .json or .csv says what to write", path.display()));
        }
        if extension == "pcapng" && state.files.iter().any(|file| file.as_os_str() == "-") {
            return Err("packets of standard input are not kept: save as .json or .csv".to_owned());
        }
        let file = File::create_new(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => format!("{}: exists; choose another name", path.display()),
            _ => format!("{}: {error}", path.display()),
        })?;
        let out = BufWriter::new(file);
        let format = match extension.as_str() {
            "csv" => Format::Csv(Box::new(CsvTable::new(&state.columns, false)), out),
            "pcapng" => {
                let out = PacketCopier::new(out, "Packets that bittrace browse saved.");
                let out = out.map_err(|error| format!("{}: {error}", path.display()))?;
                Format::Packets(Box::new(Packets { out, wanted: BTreeMap::new(), reading: None }))
            }
            _ => Format::Json(Box::new(JsonMessages::new(&state.columns, state.columns.is_empty())), out),
        };
        Ok(Self { path: path.to_owned(), format, messages, written: 0 })
    }

    /// How much is written, in hundredths.
    pub(crate) fn part(&self) -> u8 {
        (self.written * 100 / self.messages.len().max(1)) as u8
    }

    /// Writes some more messages; what to tell when all are written.
    ///
    /// # Errors
    /// In a sentence: when the file, the temporary file or a capture fails.
    pub(crate) fn step(&mut self, state: &State, spool: &mut Spool) -> Result<Option<String>, String> {
        let path = self.path.display().to_string();
        let fault = |error: io::Error| format!("{path}: {error}");
        if self.written < self.messages.len() {
            self.messages(state, spool)?;
            return Ok(None);
        }
        let messages = counted(self.messages.len() as u64, "message");
        match &mut self.format {
            Format::Json(_, out) | Format::Csv(_, out) => out.flush().map_err(fault)?,
            Format::Packets(packets) => {
                if packets.step()? {
                    return Ok(None);
                }
                packets.out.flush().map_err(fault)?;
                let packets = counted(packets.out.packets(), "packet");
                return Ok(Some(format!("{packets} of {messages} written to {path}")));
            }
        }
        Ok(Some(format!("{messages} written to {path}")))
    }

    fn messages(&mut self, state: &State, spool: &mut Spool) -> Result<(), String> {
        let rest = &self.messages[self.written..];
        // Messages that follow each other are read together.
        let run = rest.iter().zip(rest[0]..).take_while(|(message, next)| **message == *next).count();
        let first = rest[0] as usize;
        let entries = state.entries.get(first..first + run).ok_or(READ_AGAIN)?;
        let taken = step_of(entries, STEP);
        let records = spool.records(&entries[..taken]).map_err(|error| error.to_string())?;
        for (record, entry) in records.iter().zip(entries) {
            let capture = usize::from(entry.capture);
            let (Some(context), Some(file)) = (state.captures.get(capture), state.files.get(capture)) else {
                return Err(READ_AGAIN.to_owned());
            };
            let written = write(&mut self.format, record, context, (entry.capture, file));
            written.map_err(|error| format!("{}: {error}", self.path.display()))?;
        }
        self.written += taken;
        Ok(())
    }
}

fn write(
    format: &mut Format,
    record: &Record,
    context: &CaptureContext,
    (capture, file): (u16, &Path),
) -> io::Result<()> {
    let row = Row::new(record, context);
    match format {
        Format::Json(json, out) => json.write(&row, out),
        Format::Csv(csv, out) => csv.row(&row, out),
        Format::Packets(packets) => {
            let (_, wanted) = packets.wanted.entry(capture).or_insert_with(|| (file.to_owned(), Vec::new()));
            for frame in &record.frames {
                let word = (frame / 64) as usize;
                if wanted.len() <= word {
                    wanted.resize(word + 1, 0);
                }
                wanted[word] |= 1 << (frame % 64);
            }
            Ok(())
        }
    }
}

impl Packets {
    /// Copies some packets; whether there is more to do.
    fn step(&mut self) -> Result<bool, String> {
        let Some((capture, wanted)) = &mut self.reading else {
            let Some((_, (file, wanted))) = self.wanted.pop_first() else { return Ok(false) };
            self.reading = Some((Capture::open(&file).map_err(|error| error.to_string())?, wanted));
            return Ok(true);
        };
        for _ in 0..PACKETS {
            let Some(packet) = capture.next_packet().map_err(|error| error.to_string())? else {
                self.reading = None;
                return Ok(true);
            };
            let frame = packet.moment.frame;
            if wanted.get((frame / 64) as usize).is_some_and(|word| word >> (frame % 64) & 1 != 0) {
                self.out.packet(&packet).map_err(|error| error.to_string())?;
            }
        }
        Ok(true)
    }
}
