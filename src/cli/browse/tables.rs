//! The rows of the screens beside the messages: gathered while a capture is read, in the words of `analyze`.

use std::sync::Arc;

use bittrace_protocol::Timestamp;
use bittrace_protocol::metainfo::Metainfo;
use bittrace_report::{Course, CourseBuilder};
use bittrace_trace::record::{Protocol, Severity};
use bittrace_trace::statistics::{Connection, Exchanges};
use bittrace_trace::units::count;
use bittrace_trace::{Dissected, Summary, Trace};

use crate::args::ConnectionOrder;
use crate::print::connection_table::ConnectionTable;
use crate::query::row::CaptureContext;

/// The rows of one capture.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tables {
    /// The capture, by the order on the command line.
    pub(crate) capture: u16,
    /// Its conversations, those that carried most first.
    pub(crate) conversations: Vec<TableRow>,
    /// Its findings, the most severe first.
    pub(crate) findings: Vec<TableRow>,
    /// What the map of pieces and the rates are drawn from, once it is read.
    pub(crate) course: Option<Arc<Course>>,
}

/// A row of a screen, and the filter that shows its messages.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TableRow {
    /// The cells.
    pub(crate) cells: Vec<String>,
    /// Chooses its messages in the capture; `None` where it has none.
    pub(crate) filter: Option<String>,
    /// How much it matters, of a finding.
    pub(crate) severity: Option<Severity>,
}

/// The most conversations that are listed: more are not looked through by eye.
const CONVERSATIONS: usize = 2_000;

/// What is gathered of one capture.
#[derive(Debug)]
pub(super) struct Gathered {
    capture: u16,
    summary: Summary,
    exchanges: Exchanges,
    course: CourseBuilder,
}

impl Gathered {
    /// Of a capture before which others have `before` messages.
    pub(super) fn new(capture: u16, before: u64, torrents: &[Arc<Metainfo>]) -> Self {
        Self {
            capture,
            summary: Summary::new(torrents),
            exchanges: Exchanges::new(),
            course: CourseBuilder::new(torrents, before),
        }
    }

    /// Takes in a record, or the end of a connection. `start` is when the first packet was captured.
    pub(super) fn add(&mut self, dissected: &Dissected, start: Option<Timestamp>) {
        if let Some(start) = start {
            self.course.begin_at(start);
        }
        self.course.add(dissected);
        self.summary.add(dissected);
        self.exchanges.add(dissected);
    }

    /// The rows of all, and what pictures are drawn from.
    pub(super) fn finish(self, trace: &Trace, context: &CaptureContext) -> Tables {
        let tables = self.tables(trace, context);
        let course = self.course.finish(trace, &self.summary);
        Tables { course: Some(Arc::new(course)), ..tables }
    }

    /// The rows so far.
    pub(super) fn tables(&self, trace: &Trace, context: &CaptureContext) -> Tables {
        let table = ConnectionTable {
            start: context.start,
            local: trace.local(),
            exchanges: Some(&self.exchanges),
            order: ConnectionOrder::default(),
        };
        let between_peers = |one: &&Connection| one.protocol == Some(Protocol::PeerWire);
        let sorted = table.sorted(self.summary.connections.rows().iter().filter(between_peers));
        let conversations = sorted.into_iter().take(CONVERSATIONS).map(|connection| TableRow {
            cells: table.row(connection),
            filter: connection.stream.map(|stream| format!("stream == {}", stream.0)),
            severity: None,
        });
        let findings =
            self.summary.findings.iter().rev().filter(|((severity, _), _)| *severity > Severity::Chat);
        let findings = findings.map(|((severity, id), finding)| TableRow {
            cells: vec![
                severity.name().to_owned(),
                count(finding.count),
                (context.before + finding.first).to_string(),
                (*id).to_owned(),
                finding.text.to_string(),
            ],
            filter: Some(format!("rule == \"{id}\"")),
            severity: Some(*severity),
        });
        Tables {
            capture: self.capture,
            conversations: conversations.collect(),
            findings: findings.collect(),
            course: None,
        }
    }
}
