//! Which query a message of the DHT answers, whose client sent it, and about which torrent.

use std::collections::VecDeque;

use bittrace_protocol::dht::{Kind, Message};
use bittrace_protocol::{InfoHash, Timestamp, client_of_letters};

use super::latency;
use crate::Direction;
use crate::expert::rules;
use crate::record::units::wanted_at;
use crate::record::{Answer, Body, Record};

/// The queries between two nodes of the DHT that no response has answered yet.
#[derive(Debug, Default)]
pub(super) struct DhtQueries {
    waiting: VecDeque<DhtQuery>,
}

#[derive(Debug)]
struct DhtQuery {
    number: u64,
    at: Timestamp,
    by: Direction,
    transaction: Vec<u8>,
    torrent: Option<InfoHash>,
}

/// How many queries of two nodes may wait.
const WAITING: usize = 64;

/// How long a transaction may be to be remembered; clients use 2 to 8 bytes.
const TRANSACTION: usize = 32;

impl DhtQueries {
    pub(super) fn annotate(&mut self, record: &mut Record) {
        let Body::Dht(message, _) = &record.body else { return };
        let message = std::sync::Arc::clone(message);
        record.client = client(&message).map(Into::into);
        if let Some(fault) = message.faults.first() {
            record.notes.push(rules::BEP5_MALFORMED.note(wanted_at(fault.offset, fault.wanted)));
        }
        match &message.kind {
            Kind::Query(_) => {
                record.torrent = message.torrent();
                self.ask(record, &message);
            }
            Kind::Response(_) => self.answer(record, &message),
            Kind::Error(code, text) => {
                self.answer(record, &message);
                let text = format!("the node returned error {code}: {}", String::from_utf8_lossy(text));
                record.notes.push(rules::BEP5_ERROR.note(text));
            }
        }
    }

    fn ask(&mut self, record: &Record, message: &Message) {
        if message.transaction.len() > TRANSACTION {
            return;
        }
        if self.waiting.len() == WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(DhtQuery {
            number: record.number,
            at: record.at,
            by: record.direction,
            transaction: message.transaction.clone(),
            torrent: record.torrent,
        });
    }

    fn answer(&mut self, record: &mut Record, message: &Message) {
        let answers =
            |asked: &DhtQuery| asked.by != record.direction && asked.transaction == message.transaction;
        let asked = self.waiting.iter().position(answers).and_then(|at| self.waiting.remove(at));
        let Some(asked) = asked.filter(|asked| latency(asked.at, record.at) <= PATIENCE) else { return };
        record.answers = Some(Answer { number: asked.number, latency: latency(asked.at, record.at) });
        record.torrent = asked.torrent;
    }
}

/// How many seconds a response may take. Clients give up after some 15 seconds.
const PATIENCE: f64 = 60.0;

fn client(message: &Message) -> Option<&'static str> {
    client_of_letters(*message.version.as_deref()?.first_chunk()?)
}
