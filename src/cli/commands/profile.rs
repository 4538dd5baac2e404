//! `bittrace profile`: the behaviour of a capture's client, and which packets show it.

use std::io::Write;

use anyhow::Result;
use bittrace_protocol::node::UtpPolicy;
use bittrace_protocol::session::{
    Alphabet, EncryptionPolicy, EncryptionProfile, ExtendedEntry, FirstMessage, HaveStep, Haves, Interest,
    KeyForm, LastMessage, PieceOrder, Profile, RedundantHaves, RequestStep, Schedule, WithoutPieces,
};
use bittrace_protocol::tracker::http::RequestStyle;
use bittrace_replay::{InferredProfile, infer_profile};
use bittrace_trace::TraceOptions;
use bittrace_trace::units::counted;
use serde_json::{Map, Value, json};

use crate::Exit;
use crate::args::{self, Common, DiffFormat};
use crate::commands::diff;
use crate::input;
use crate::print::json::write_line;
use crate::print::output::{Look, Output};
use crate::print::page::Page;
use crate::print::table::Column;

/// Runs the command.
pub(crate) fn show(arguments: &args::ProfileArguments, common: Common, mut output: Output) -> Result<Exit> {
    let options = TraceOptions {
        local: arguments.local.into(),
        mse_keys: arguments.key_logs.read()?,
        ..TraceOptions::default()
    };
    let trace = input::open(&arguments.capture, options, &output)?;
    let reference = diff::transcribe(trace, arguments.local, common)?;
    if diff::reading_was_interrupted(1, common) {
        return Ok(Exit::Interrupted);
    }
    let learnt = infer_profile(&reference, own_profile())?;
    match arguments.format {
        DiffFormat::Json => {
            let rows = rows(&learnt);
            let object = json!({
                "client": learnt.client,
                "torrent": learnt.torrent.to_string(),
                "profile": rows.iter().map(|row| (row.name.to_owned(), row.seen())).collect::<Map<_, _>>(),
                "shown_in_frame": rows.iter().map(|row| (row.name.to_owned(), json!(row.frame))).collect::<Map<_, _>>(),
                "schedule": schedule_counts(&learnt.schedule),
                "beyond": learnt.beyond,
            });
            if let Value::Object(object) = object {
                write_line(&object, &mut output)?;
            }
        }
        DiffFormat::Table => write(&learnt, output.look, &mut output)?,
    }
    output.flush()?;
    Ok(Exit::Done)
}

/// The profile of this program.
pub(crate) fn own_profile() -> Profile {
    Profile::own(concat!("bittrace ", env!("CARGO_PKG_VERSION")))
}

fn write(learnt: &InferredProfile, look: Look, out: &mut dyn Write) -> Result<()> {
    let client = learnt.client.as_deref().unwrap_or("an unnamed client");
    let mut page = Page::new(look, out);
    page.title(&format!("Behaviour of {client}"))?;
    let rows: Vec<Vec<String>> = rows(learnt)
        .into_iter()
        .map(|row| match row.frame {
            Some(frame) => vec![row.name.to_owned(), text(&row.value), frame.to_string()],
            None => vec![row.name.to_owned(), "not seen".to_owned(), String::new()],
        })
        .collect();
    let columns = [Column::text("part", 12), Column::text("behaviour", 24), Column::text("frame", 5)];
    page.table(&columns, &rows)?;
    let mut lines: Vec<String> = schedule_in_words(&learnt.schedule).into_iter().collect();
    lines.extend(learnt.beyond.iter().map(|beyond| format!("Beyond a profile: {beyond}.")));
    for line in &lines {
        page.paragraph(line, 0)?;
    }
    Ok(())
}

/// How much of a run a schedule holds: the pieces, requests and haves that it places.
fn schedule_counts(schedule: &Schedule) -> Value {
    json!({
        "pieces": schedule.pieces.len(),
        "requests": schedule.requests.last().map_or(0, |step| step.requests_sent),
        "haves": schedule.haves.last().map_or(0, |step| step.haves_sent),
    })
}

/// Which of the rows are a schedule, and how much it holds; `None` where nothing is.
fn schedule_in_words(schedule: &Schedule) -> Option<String> {
    let rows = [
        (!schedule.pieces.is_empty()).then(|| {
            ("piece_order", format!("an order of {}", counted(schedule.pieces.len() as u64, "piece")))
        }),
        schedule.requests.last().map(|step| {
            ("refills", format!("the moments of {}", counted(step.requests_sent.into(), "request")))
        }),
        schedule
            .haves
            .last()
            .map(|step| ("tells", format!("the moments of {}", counted(step.haves_sent.into(), "have")))),
    ];
    let (names, contents): (Vec<_>, Vec<_>) = rows.into_iter().flatten().unzip();
    if names.is_empty() {
        return None;
    }
    Some(format!(
        "Schedule of this torrent: {} ({}). Everything else is the client's policy for any torrent.",
        names.join(", "),
        contents.join(", ")
    ))
}

/// A line of a profile.
struct ProfileRow {
    name: &'static str,
    value: Value,
    /// The packet that shows it; `None` where the capture does not.
    frame: Option<u64>,
}

impl ProfileRow {
    /// The value, or null where it was not seen: then it is what bittrace does, and no news of this client.
    fn seen(&self) -> Value {
        self.frame.map_or(Value::Null, |_| self.value.clone())
    }
}

fn rows(learnt: &InferredProfile) -> Vec<ProfileRow> {
    let profile = &learnt.profile;
    let announce = &profile.announce;
    let row = |name, value| {
        let frame = learnt.evidence.iter().find(|one| one.part == name).map(|one| one.frame);
        ProfileRow { name, value, frame }
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let sent = |name: &str| announce.style.parameters.iter().any(|one| one.name == name.as_bytes());
    let schedule = &learnt.schedule;
    let order: Vec<Value> = match profile.piece_order {
        _ if !schedule.pieces.is_empty() => schedule.pieces.iter().map(|piece| json!(piece.0)).collect(),
        PieceOrder::InOrder => vec![json!("in order")],
        PieceOrder::RarestFirst => vec![json!("rarest first")],
    };
    let extended: Map<String, Value> =
        profile.extended.iter().map(|(key, says)| (text(key), says_value(profile, says))).collect();
    vec![
        row("announce", json!(parameters(&announce.style))),
        row("headers", json!(headers(&announce.style))),
        row("numwant", json!(sent("numwant").then_some(announce.numwant))),
        row("numwant_stopped", json!(sent("numwant").then_some(announce.numwant_stopped))),
        row("udp_numwant", json!(announce.udp.numwant)),
        row("udp_numwant_stopped", json!(announce.udp.numwant_stopped)),
        row("udp_url_data", json!(announce.udp.url_data)),
        row("key", json!(sent("key").then(|| key(announce.key)))),
        row("says_completed", json!(announce.says_completed)),
        row("peer_id", json!(peer_id(learnt))),
        row("reserved", json!(bittrace_protocol::Hex(&profile.reserved).to_string())),
        row("encryption", encryption(profile.encryption)),
        row("utp", json!(utp(learnt.utp))),
        row("opening", json!(profile.first_messages.iter().map(opening).collect::<Vec<_>>())),
        row("without_pieces", json!(without_pieces(profile.without_pieces))),
        row("acknowledges_pieces", json!(profile.acknowledges_pieces)),
        row(
            "interest",
            json!(match profile.interest {
                Interest::AtOnce => "at once",
                Interest::WhenUseful => "when the peer has a piece that is missing",
            }),
        ),
        row("extended", Value::Object(extended)),
        row("block_length", json!(profile.block_length)),
        row("pads_blocks", json!(profile.pads_blocks)),
        row("requests_padding", json!(profile.requests_padding)),
        row("first_requests", json!(profile.initial_pipeline)),
        row("most_requests", json!(profile.max_pipeline)),
        row("refills", json!(refills(schedule))),
        row("piece_order", Value::Array(order)),
        row(
            "haves",
            json!(match profile.haves {
                Haves::Single => "a have for each piece",
                Haves::Shortest => "haves, a bitfield or have-all, whichever is shortest",
            }),
        ),
        row("tells", json!(tells(schedule))),
        row("haves_first", json!(profile.haves_first)),
        row(
            "redundant_haves",
            json!(match profile.redundant_haves {
                RedundantHaves::Never => "to no peer that has the piece",
                RedundantHaves::ToGivers => "to the peers that sent blocks of the piece",
                RedundantHaves::ToAll => "to all peers",
            }),
        ),
        row("parting", json!(profile.last_messages.iter().map(parting).collect::<Vec<_>>())),
    ]
}

const fn utp(policy: UtpPolicy) -> &'static str {
    match policy {
        UtpPolicy::Off => "off",
        UtpPolicy::Allow => "allow",
        UtpPolicy::Prefer => "prefer",
        UtpPolicy::Require => "require",
    }
}

fn encryption(encryption: EncryptionProfile) -> Value {
    let EncryptionProfile { policy, offers, max_padding, sends_ahead } = encryption;
    let policy = match policy {
        EncryptionPolicy::Off => "off",
        EncryptionPolicy::Allow => "allow",
        EncryptionPolicy::Prefer => "prefer",
        EncryptionPolicy::Require => "require",
    };
    json!({"policy": policy, "offers": offers.names(), "max_padding": max_padding, "sends_ahead": sends_ahead})
}

fn parameters(style: &RequestStyle) -> Vec<String> {
    style.parameters.iter().map(|one| String::from_utf8_lossy(&one.spelled).into_owned()).collect()
}

fn headers(style: &RequestStyle) -> Vec<String> {
    let header = |one: &bittrace_protocol::tracker::http::StyledHeader| {
        let value = one.value.as_deref().map_or("the tracker's host".into(), String::from_utf8_lossy);
        format!("{}: {value}", String::from_utf8_lossy(&one.name))
    };
    style.headers.iter().map(header).collect()
}

fn key(form: KeyForm) -> String {
    match form {
        KeyForm::UpperHex => "eight hexadecimal digits, upper case".to_owned(),
        KeyForm::LowerHex => "eight hexadecimal digits, lower case".to_owned(),
        KeyForm::PeerIdTail(length) => format!("the last {length} bytes of the peer id"),
        KeyForm::Letters(length, alphabet) => format!("{length} characters: {}", letters(alphabet)),
    }
}

fn peer_id(learnt: &InferredProfile) -> String {
    let form = &learnt.profile.peer_id;
    let from = letters(form.alphabet);
    let each = if form.fresh { "; another for each connection" } else { "" };
    format!("{} and {from}{each}", String::from_utf8_lossy(&form.prefix))
}

const fn letters(alphabet: Alphabet) -> &'static str {
    match alphabet {
        Alphabet::LowerAlphanumeric => "digits and lower-case letters",
        Alphabet::UpperAlphanumeric => "digits and upper-case letters",
        Alphabet::Alphanumeric => "digits and letters",
        Alphabet::Unreserved => "digits, letters and punctuation",
        Alphabet::Bytes => "any bytes",
    }
}

fn opening(opening: &FirstMessage) -> String {
    match opening {
        FirstMessage::Extended => "extended handshake".to_owned(),
        FirstMessage::Pieces => "pieces".to_owned(),
        FirstMessage::AllowedFast(count) => format!("allowed fast set of {count}"),
    }
}

const fn without_pieces(says: WithoutPieces) -> &'static str {
    match says {
        WithoutPieces::HaveNone => "have-none",
        WithoutPieces::Bitfield => "a bitfield of zeros",
        WithoutPieces::KeepAlive => "a keep-alive",
        WithoutPieces::Nothing => "nothing",
    }
}

const fn parting(parting: &LastMessage) -> &'static str {
    match parting {
        LastMessage::NotInterested => "not-interested",
        LastMessage::Haves => "the last pieces",
    }
}

fn refills(schedule: &Schedule) -> Vec<String> {
    let refill = |refill: &RequestStep| match refill.blocks_received {
        0 => format!("{} at first", refill.requests_sent),
        given => format!("{} in total after {given} arrived", refill.requests_sent),
    };
    schedule.requests.iter().map(refill).collect()
}

fn tells(schedule: &Schedule) -> Vec<String> {
    let tell = |tell: &HaveStep| {
        format!("{} in total after {} blocks arrived", tell.haves_sent, tell.blocks_received)
    };
    schedule.haves.iter().map(tell).collect()
}

fn says_value(profile: &Profile, says: &ExtendedEntry) -> Value {
    match says {
        ExtendedEntry::Extensions => {
            profile.extensions.iter().map(|(name, id)| (name.clone(), json!(id))).collect()
        }
        ExtendedEntry::MetadataSize => json!("the size of the metadata"),
        ExtendedEntry::Port => json!("the listening port"),
        ExtendedEntry::PortWhenDialling => json!("the listening port, in outgoing connections"),
        ExtendedEntry::Reqq => json!(profile.reqq),
        ExtendedEntry::Client => json!(profile.client),
        ExtendedEntry::YourAddress => json!("the peer's address"),
        ExtendedEntry::UploadOnly => json!("0, then 1 when complete"),
        ExtendedEntry::UploadOnlyOnceComplete => json!("1 when complete"),
        ExtendedEntry::CompleteAgo => json!("seconds since completion, or -1"),
        ExtendedEntry::Number(number) => json!(number),
        ExtendedEntry::Text(text) => json!(String::from_utf8_lossy(text)),
    }
}

/// How many items of a list are shown; JSON has all.
const SHOWN: usize = 24;

/// A value on one line.
fn text(value: &Value) -> String {
    match value {
        Value::Array(items) if items.is_empty() => "nothing".to_owned(),
        Value::Array(items) if items.len() > SHOWN => {
            let shown: Vec<String> = items[..SHOWN].iter().map(text).collect();
            format!("{}, and {} more", shown.join(", "), items.len() - SHOWN)
        }
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Null => "not sent".to_owned(),
        Value::Object(entries) => entries
            .iter()
            .map(|(key, value)| match value {
                Value::Object(_) => format!("{key} ({})", text(value)),
                _ => format!("{key}: {}", text(value)),
            })
            .collect::<Vec<_>>()
            .join("; "),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        other => other.to_string(),
    }
}
