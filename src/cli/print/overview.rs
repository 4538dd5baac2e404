//! The summary of a capture as tables: what was captured, who spoke, of what, with whom, and what is to be said of it.

use std::collections::BTreeMap;
use std::io::{self, Write};

use bittrace_protocol::Timestamp;
use bittrace_trace::record::Severity;
use bittrace_trace::statistics::{Client, Connection, TorrentSeen, Tracker, Unread};
use bittrace_trace::units::{count, counted, seconds, size, span};
use bittrace_trace::{Direction, HostGroups, StreamClosing, StreamOpening, Summary, Trace};

use crate::args::ConnectionOrder;
use crate::print::connection_table::ConnectionTable;
use crate::print::output::Look;
use crate::print::page::Page;
use crate::print::table::Column;
use crate::print::units::rfc3339;

/// Writes summaries.
pub(crate) struct Overview<'a> {
    pub(crate) name: &'a str,
    pub(crate) trace: &'a Trace,
    pub(crate) summary: &'a Summary,
    pub(crate) look: Look,
    /// What connections are sorted by.
    pub(crate) order: ConnectionOrder,
    /// All rows and every remark, not only the first ones.
    pub(crate) verbose: bool,
}

/// How many rows a table of the summary has when not all are asked for.
const ROWS: usize = 20;

/// A comment of more lines shows the first.
const COMMENT_LINES: usize = 3;

/// From this width on a table of clients has all columns.
const WIDE_FROM: usize = 110;

impl Overview<'_> {
    /// Writes the whole summary.
    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let page = &mut Page::new(self.look, out);
        self.capture(page)?;
        if self.summary.records == 0 && self.summary.connections.rows().is_empty() {
            return page.paragraph("No BitTorrent traffic found.", 2);
        }
        self.clients(page)?;
        self.torrents(page)?;
        self.torrents_sought(page)?;
        self.trackers(page)?;
        self.connections(page)?;
        self.messages(page)?;
        self.findings(page)?;
        self.unread(page)
    }

    fn start(&self) -> Timestamp {
        self.trace.span().map_or(Timestamp::EPOCH, |(first, _)| first)
    }

    fn capture(&self, page: &mut Page<'_>) -> io::Result<()> {
        let capture = self.trace.capture();
        page.title(self.name)?;
        let mut facts = vec![
            format!("{}, {}", capture.format(), counted(capture.packets(), "packet")),
            size(capture.bytes()),
        ];
        if let Some((first, last)) = self.trace.span() {
            facts.push(format!("{} from {}", span(last.seconds_since(first)), rfc3339(first)));
        }
        page.paragraph(&facts.join(", "), 2)?;
        let counts = self.trace.counts();
        let kinds = [
            (counts.tcp, counted(counts.tcp, "TCP segment")),
            (counts.udp, counted(counts.udp, "UDP datagram")),
            (counts.other, counted(counts.other, "other packet")),
        ];
        let mut packets: Vec<_> =
            kinds.into_iter().filter(|(number, _)| *number > 0).map(|(_, text)| text).collect();
        if capture.snapped() > 0 {
            packets.push(format!("{} captured only in part", counted(capture.snapped(), "packet")));
        }
        let local = match self.trace.local() {
            Some(local) => Some(format!("local host {local}")),
            None => self.trace.has_no_local().then(|| "no local host".to_owned()),
        };
        let packets = (!packets.is_empty()).then(|| packets.join(", "));
        let facts: Vec<_> = local.into_iter().chain(packets).collect();
        if !facts.is_empty() {
            page.paragraph(&facts.join("; "), 2)?;
        }
        if counts.copies > 0 {
            let copies = match counts.copies {
                1 => "1 packet is a copy of a packet just before".to_owned(),
                copies => format!("{} are copies of packets just before", counted(copies, "packet")),
            };
            page.paragraph(&format!("{copies}; each message counts once"), 2)?;
        }
        for comment in capture.comments().iter().take(3) {
            let lines = comment.lines().count();
            // A long one, as with a whole scenario in it, would fill the first screen.
            match comment.lines().next() {
                Some(first) if lines > COMMENT_LINES && !self.verbose => {
                    let more = counted((lines - 1) as u64, "more line");
                    page.paragraph(&format!("comment: {first} … {more}; -v shows them"), 2)?;
                }
                _ => page.paragraph(&format!("comment: {comment}"), 2)?,
            }
        }
        Ok(())
    }

    fn clients(&self, page: &mut Page<'_>) -> io::Result<()> {
        let clients = &self.summary.clients;
        if clients.rows().len() > ROWS && !self.verbose && self.trace.has_no_local() {
            return self.programs(page);
        }
        let wide = page.look.width >= WIDE_FROM;
        let rows = clients.rows().iter().map(|client| {
            let says = client.says.as_deref().map(str::trim).unwrap_or_default();
            let name = client.name.as_deref().unwrap_or("unknown");
            let local = if client.local { " (local)" } else { "" };
            vec![
                format!("{}{local}", client.address),
                name.to_owned(),
                client.peer_id.readable(),
                if !wide || says_the_same(name, says) { String::new() } else { says.to_owned() },
                client.port.map_or(String::new(), |port| port.to_string()),
                count(client.handshakes),
            ]
        });
        let columns = [
            Column::text("address", 17),
            Column::text("client", 18),
            Column::text("peer id", 20),
            Column::text("calls itself", 12),
            Column::numbers("port"),
            Column::numbers("handshakes"),
        ];
        self.table("Clients", &columns, rows.collect(), clients.more(), page)
    }

    /// The clients of a network of many, by program.
    fn programs(&self, page: &mut Page<'_>) -> io::Result<()> {
        let clients = &self.summary.clients;
        let names = HostGroups::new(self.trace.capture().hosts());
        let mut programs: BTreeMap<(&str, &str), Vec<&Client>> = BTreeMap::new();
        for client in clients.rows() {
            let key = (names.of(client.address).unwrap_or(""), client.name.as_deref().unwrap_or("unknown"));
            programs.entry(key).or_default().push(client);
        }
        let mut rows: Vec<_> = programs.into_iter().collect();
        rows.sort_by_key(|(_, clients)| std::cmp::Reverse(clients.len()));
        let rows = rows.into_iter().map(|((group, name), clients)| {
            let addresses = || clients.iter().map(|client| client.address);
            let addresses = match (addresses().min(), addresses().max()) {
                (Some(first), Some(last)) if first != last => format!("{first} to {last}"),
                (first, _) => first.map_or(String::new(), |first| first.to_string()),
            };
            let handshakes = clients.iter().map(|client| client.handshakes).sum();
            let clients = count(clients.len() as u64);
            vec![group.to_owned(), name.to_owned(), clients, addresses, count(handshakes)]
        });
        let columns = [
            Column::text("hosts", 12),
            Column::text("client", 18),
            Column::numbers("clients"),
            Column::text("addresses", 17),
            Column::numbers("handshakes"),
        ];
        let by = if names.is_empty() { "program" } else { "name and program" };
        let heading = format!("Clients by {by} (each with -v)");
        self.table(&heading, &columns, rows.collect(), clients.more(), page)
    }

    fn torrents(&self, page: &mut Page<'_>) -> io::Result<()> {
        let torrents = &self.summary.torrents;
        if torrents.rows().is_empty() {
            return Ok(());
        }
        page.heading("Torrents")?;
        let shown = self.shown(torrents.rows().len());
        for torrent in &torrents.rows()[..shown] {
            let Some(info_hash) = torrent.info_hash else { continue };
            let mut line = info_hash.to_string();
            if let Some(metainfo) = &torrent.metainfo {
                line.push_str(&format!("  {}", metainfo.name));
            }
            page.paragraph(&line, 2)?;
            let mut facts = Vec::new();
            facts.extend(torrent.other_hash().map(|hash| format!("version 2 info hash {hash}")));
            if let Some(metainfo) = &torrent.metainfo {
                let files = counted(metainfo.files.len() as u64, "file");
                facts.push(format!("{} in {files}", counted(metainfo.total(), "byte")));
                let length = size(u64::from(metainfo.piece_length));
                facts.push(match torrent.piece_count() {
                    Some(pieces) => format!("{} of {length}", counted(pieces, "piece")),
                    None => format!("pieces of {length}"),
                });
            }
            if torrent.records == 0 {
                facts.push("no handshake or announce names it".to_owned());
            } else if torrent.blocks == 0 && torrent.cut_blocks == 0 {
                facts.push("no block seen".to_owned());
            } else if torrent.blocks > 0 {
                facts.push(format!(
                    "seen: {} of {}, {}",
                    counted(torrent.blocks, "block"),
                    counted(torrent.pieces.len() as u64, "piece"),
                    counted(torrent.payload, "byte")
                ));
            }
            if torrent.cut_blocks > 0 {
                facts.push(format!("{} captured only in part", counted(torrent.cut_blocks, "block")));
            }
            if torrent.metainfo.is_some() && torrent.blocks + torrent.right + torrent.corrupt > 0 {
                facts.extend(verdicts(torrent));
            }
            page.paragraph(&facts.join("; "), 6)?;
        }
        page.left_out((torrents.rows().len() - shown) as u64, "-v", torrents.more())
    }

    fn torrents_sought(&self, page: &mut Page<'_>) -> io::Result<()> {
        let torrents = &self.summary.torrents;
        let rows = torrents.sought().map(|torrent| {
            vec![
                torrent.info_hash.to_string(),
                count(torrent.asked),
                count(torrent.peers),
                count(torrent.announced),
            ]
        });
        let columns = [
            Column::text("info hash", 40),
            Column::numbers("asked"),
            Column::numbers("peers returned"),
            Column::numbers("announced"),
        ];
        self.table("Torrents seen only in the DHT", &columns, rows.collect(), torrents.more_sought(), page)
    }

    fn trackers(&self, page: &mut Page<'_>) -> io::Result<()> {
        let trackers = &self.summary.trackers;
        let rows = trackers
            .rows()
            .iter()
            .map(|tracker| vec![tracker.url.clone(), asked(tracker), answered(tracker)]);
        let columns =
            [Column::text("tracker", 31), Column::text("requests", 14), Column::text("responses", 18)];
        self.table("Trackers", &columns, rows.collect(), trackers.more(), page)
    }

    fn connections(&self, page: &mut Page<'_>) -> io::Result<()> {
        let connections = &self.summary.connections;
        if connections.rows().is_empty() {
            return Ok(());
        }
        page.heading("Connections")?;
        let table = ConnectionTable {
            start: self.start(),
            local: self.trace.local(),
            exchanges: None,
            order: self.order,
        };
        let sorted = table.sorted(connections.rows().iter());
        let shown = self.shown(sorted.len());
        table.write(&sorted[..shown], page)?;
        page.left_out((sorted.len() - shown) as u64, "-v", connections.more())?;
        self.encrypted(page)
    }

    /// How many connections could only be read with a key, and how many could not be read for want of one.
    fn encrypted(&self, page: &mut Page<'_>) -> io::Result<()> {
        let rows = self.summary.connections.rows();
        let number = |is: fn(&Connection) -> bool| rows.iter().filter(|row| is(row)).count() as u64;
        let (decrypted, sealed) = (number(|row| row.decrypted), number(Connection::is_sealed));
        let mut parts = Vec::new();
        if decrypted > 0 {
            parts.push(format!("{} decrypted", counted(decrypted, "encrypted connection")));
        }
        if sealed > 0 {
            let which = counted(sealed, "encrypted connection");
            parts.push(match self.trace.capture().mse_keys() {
                0 => format!("{which} not decrypted: no key (use --mse-keys FILE)"),
                1 => format!("{which} not decrypted: the key does not fit"),
                keys => format!("{which} not decrypted: none of the {} fits", counted(keys as u64, "key")),
            });
        }
        if parts.is_empty() {
            return Ok(());
        }
        writeln!(page)?;
        page.paragraph(&parts.join("; "), 2)
    }

    fn messages(&self, page: &mut Page<'_>) -> io::Result<()> {
        let mut rows: Vec<Vec<String>> = Vec::new();
        for ((protocol, message), number) in self.summary.messages.by_name() {
            let text = format!("{message} {}", count(number));
            match rows.last_mut() {
                Some(row) if row[0] == *protocol => {
                    row[1].push_str(", ");
                    row[1].push_str(&text);
                }
                _ => rows.push(vec![(*protocol).to_owned(), text]),
            }
        }
        let columns = [Column::text("protocol", 12), Column::text("messages", 20)];
        self.table("Messages", &columns, rows, 0, page)
    }

    fn findings(&self, page: &mut Page<'_>) -> io::Result<()> {
        let findings = &self.summary.findings;
        let worth =
            findings.iter().rev().filter(|((severity, _), _)| self.verbose || *severity > Severity::Chat);
        let mut worth = worth.peekable();
        if worth.peek().is_none() {
            return Ok(());
        }
        page.heading("Findings (bittrace explain RULE explains a rule)")?;
        for ((severity, rule), finding) in worth {
            let times = counted(finding.count, "time");
            let first = format!("first in message {}", count(self.summary.before + finding.first));
            page.finding(*severity, &[&times, rule, &first], &finding.text)?;
        }
        Ok(())
    }

    fn unread(&self, page: &mut Page<'_>) -> io::Result<()> {
        let Unread { encrypted, utp_datagrams, utp, opaque, lost, lost_packets } = self.summary.unread;
        if self.summary.unread.is_nothing() {
            return Ok(());
        }
        page.heading("Not read")?;
        let lines = [
            (encrypted, format!("{} in encrypted connections", counted(encrypted, "byte"))),
            (utp, format!("{} of uTP, {}", counted(utp_datagrams, "datagram"), counted(utp, "byte"))),
            (opaque, format!("{} that no rule explains", counted(opaque, "byte"))),
            (lost, format!("{} that the capture lost", counted(lost, "byte"))),
            (lost_packets, format!("{} of uTP that the capture lost", counted(lost_packets, "packet"))),
        ];
        for (_, line) in lines.iter().filter(|(number, _)| *number > 0) {
            page.paragraph(line, 2)?;
        }
        Ok(())
    }

    fn shown(&self, rows: usize) -> usize {
        if self.verbose { rows } else { rows.min(ROWS) }
    }

    fn table(
        &self,
        heading: &str,
        columns: &[Column],
        rows: Vec<Vec<String>>,
        not_kept: u64,
        page: &mut Page<'_>,
    ) -> io::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        page.heading(heading)?;
        let shown = self.shown(rows.len());
        page.table(columns, &rows[..shown])?;
        page.left_out((rows.len() - shown) as u64, "-v", not_kept)
    }
}

/// Whether what a client calls itself is what its peer id says already, as with most.
fn says_the_same(name: &str, says: &str) -> bool {
    let words = |text: &str| {
        let mut words = text.split([' ', '/']).filter(|word| !word.is_empty());
        let program = words.next().unwrap_or_default().to_ascii_lowercase();
        (program, words.next_back().unwrap_or_default().to_owned())
    };
    let ((program, version), (says_program, says_version)) = (words(name), words(says));
    program == says_program && says_version.starts_with(&version)
}

/// What became of the pieces that came whole.
fn verdicts(torrent: &TorrentSeen) -> Vec<String> {
    if !torrent.is_checked() {
        return vec!["not checked".to_owned()];
    }
    let verified = torrent.verified.len() as u64;
    let mut verdicts = vec![format!("{} verified", count(verified))];
    if torrent.right > verified {
        verdicts.push(format!("{} in all", counted(torrent.right, "time")));
    }
    let mut verdicts = vec![verdicts.join(", ")];
    if torrent.corrupt > 0 {
        verdicts.push(format!("{} corrupt", counted(torrent.corrupt, "time")));
    }
    verdicts
}

fn asked(tracker: &Tracker) -> String {
    let mut parts = Vec::new();
    let total: u64 = tracker.announces.values().sum();
    if total > 0 {
        let events: Vec<_> = EVENTS
            .iter()
            .filter_map(|event| Some(format!("{event} {}", count(*tracker.announces.get(event)?))))
            .collect();
        parts.push(format!("{}: {}", counted(total, "announce"), events.join(", ")));
    }
    if tracker.scrapes > 0 {
        parts.push(counted(tracker.scrapes, "scrape"));
    }
    parts.join("; ")
}

/// The events of announces, in the order of a download's life.
const EVENTS: [&str; 5] = ["started", "regular", "completed", "paused", "stopped"];

fn answered(tracker: &Tracker) -> String {
    let mut parts = Vec::new();
    // The peers are of all answers, the rest of the last one.
    let several = tracker.announce_answers > 1;
    if tracker.announce_answers > 0 {
        parts.push(format!(
            "{} with {}{}",
            counted(tracker.announce_answers, "announce"),
            counted(tracker.peers.len() as u64, "peer"),
            if several { " in all" } else { "" }
        ));
    }
    if tracker.scrape_answers > 0 {
        parts.push(counted(tracker.scrape_answers, "scrape"));
    }
    let last = [
        tracker.complete.map(|complete| counted(complete, "seeder")),
        tracker.incomplete.map(|incomplete| counted(incomplete, "leecher")),
        tracker.interval.map(|interval| format!("interval {}", seconds(interval))),
    ];
    let last: Vec<_> = last.into_iter().flatten().collect();
    if !last.is_empty() {
        parts.push(format!("{}{}", if several { "last: " } else { "" }, last.join(", ")));
    }
    if tracker.failures > 0 {
        let words = tracker.last_failure.as_deref().unwrap_or_default();
        parts.push(format!("{}: {words}", counted(tracker.failures, "failure")));
    }
    if parts.is_empty() { "nothing".to_owned() } else { parts.join("; ") }
}

/// How a connection ended, in the words of the table.
pub(crate) fn outcome(connection: &Connection) -> String {
    let mut text = connection.closing.map_or("datagrams", StreamClosing::name).to_owned();
    if connection.opening == Some(StreamOpening::MidStream) {
        text.push_str(", captured mid-stream");
    }
    match connection.unseen {
        Some(Direction::FromInitiator) => text.push_str(", only the responder captured"),
        Some(Direction::FromResponder) => text.push_str(", only the initiator captured"),
        None => {}
    }
    if connection.decrypted {
        text.push_str(", decrypted");
    }
    if connection.encrypted {
        text.push_str(", encrypted");
    }
    text
}
