//! The results of a real run beside those of the simulation, for people and as JSON.

use std::io::Write;

use anyhow::Result;
use bittrace_lab::scenario::{Role, Scenario};
use bittrace_lab::{GroupSummary, Quantiles, Summary, Verdict};
use bittrace_trace::units::{count, counted, percent, rough_size, size, span};
use serde_json::{Map, Value, json};

use super::super::page::{quantiles, sample, time, verdict_object, write_bound, write_verdicts};
use super::{Done, Seen};
use crate::print::json::write_line;
use crate::print::output::Look;
use crate::print::page::Page;
use crate::print::table::Column;

/// A run, its summary, and what is to be said of them.
pub(super) struct Results<'a> {
    done: &'a Done,
    seen: &'a Seen,
    summary: Summary,
    verdicts: Vec<Verdict>,
    /// Why each group of the scenario was not there, where that is so.
    skipped: &'a [Option<String>],
    warnings: Vec<String>,
}

impl<'a> Results<'a> {
    pub(super) fn new(
        done: &'a Done,
        seen: &'a Seen,
        scenario: &Scenario,
        skipped: &'a [Option<String>],
    ) -> Self {
        let summary = Summary::of(&done.played, &seen.run);
        let mut results = Self { done, seen, summary, verdicts: Vec::new(), skipped, warnings: Vec::new() };
        let verdicts = results.summary.verdicts(scenario).into_iter();
        results.verdicts = verdicts
            .filter(|verdict| {
                let of = scenario.expect.get(&verdict.name).and_then(|rule| rule.of.as_deref());
                results.is_measured(&verdict.name) && of.is_none_or(|of| results.is_measured(of))
            })
            .collect();
        results.warnings = results.warn();
        results
    }

    /// Whether all that the scenario expects is so, as far as it is measured.
    pub(super) fn is_as_expected(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.holds)
    }

    /// Whether a number of a summary is seen of real clients: what only a session knows is not.
    fn is_measured(&self, name: &str) -> bool {
        let (group, number) =
            name.split_once('.').map_or((None, name), |(group, number)| (Some(group), number));
        let is_absent =
            |group| self.done.played.peers.iter().any(|plan| plan.name == group && plan.count == 0);
        if group.is_some_and(is_absent) {
            return false;
        }
        let of_sessions = ["interest", "hash_failures", "stalls", "dials", "datagrams", "bans"];
        let of_capture = ["used", "copies", "first_copy", "overhead", "wasted", "ratio", "first_block"];
        let has_capture = self.done.captured.as_ref().is_some_and(|captured| !captured.is_cut);
        !of_sessions.contains(&number) && (has_capture || !of_capture.contains(&number))
    }

    fn warn(&self) -> Vec<String> {
        let mut said = self.done.left_out.clone();
        for host in &self.done.hosts {
            if let Some(load) = host.load.most.filter(|&load| load > MOST_LOAD) {
                let name = &host.plan.name;
                said.push(format!(
                    "{name}: its client took {} of a processor: times are no longer true",
                    percent(load)
                ));
            }
            if let Some(failure) = &host.failure {
                said.push(format!("{}: {failure}", host.plan.name));
            }
        }
        let opaque: u64 = self.seen.opaque.iter().sum();
        if opaque > 0 {
            said.push(format!(
                "{} of encrypted connections cannot be read, and are not counted",
                size(opaque)
            ));
        }
        if self.done.captured.as_ref().is_some_and(|captured| captured.is_cut) {
            said.push("the capture ended before the run did: sums are too small".to_owned());
        }
        match self.done.captured.as_ref().and_then(|captured| captured.lost) {
            Some(lost) if lost > 0 => {
                said.push(format!("the capture lacks {}: sums are too small", counted(lost, "packet")));
            }
            _ => {}
        }
        said
    }

    /// Writes tables.
    pub(super) fn write_table(&self, look: Look, out: &mut dyn Write) -> Result<()> {
        let (done, summary) = (self.done, &self.summary);
        let scenario = &done.played;
        let mut page = Page::new(look, out);
        let title = if scenario.title.is_empty() { "Swarm of real clients" } else { &scenario.title };
        page.title(title)?;
        let place = if done.loopback { "addresses of this machine" } else { "links of this machine" };
        page.paragraph(
            &format!(
                "{} in pieces of {}, {} on {place}, {}",
                size(scenario.torrent.size.0),
                size(scenario.torrent.piece.0),
                counted(done.hosts.len() as u64, "real client"),
                span(summary.seconds)
            ),
            2,
        )?;
        page.heading("Time to the file")?;
        self.write_times(&mut page)?;
        for (group, why) in scenario.peers.iter().zip(self.skipped) {
            if let Some(why) = why {
                page.paragraph(&format!("{} is skipped: {why}.", group.name), 2)?;
            }
        }
        write_bound(summary, &mut page)?;
        if done.captured.is_some() {
            page.heading("Given and taken")?;
            self.write_shares(&mut page)?;
        }
        if done.captured.is_some() {
            page.heading("From arrival to each share of the pieces (median)")?;
            self.write_courses(&mut page)?;
        }
        page.heading("Real and simulated")?;
        let columns = [
            Column::text("number", 13),
            Column::numbers("real"),
            Column::numbers("simulated"),
            Column::text("meaning", 30),
        ];
        page.table(&columns, &self.numbers_in_words())?;
        write_verdicts(&self.verdicts, &mut page)?;
        if !self.warnings.is_empty() {
            page.heading("To be known")?;
            for warning in &self.warnings {
                page.paragraph(&format!("{warning}."), 2)?;
            }
        }
        Ok(())
    }

    /// The groups that were there, with those of the simulation.
    fn groups(&self) -> impl Iterator<Item = (&GroupSummary, &GroupSummary)> {
        let pairs = self.summary.groups.iter().zip(&self.done.simulated.groups);
        pairs.zip(self.skipped).filter(|(_, why)| why.is_none()).map(|(pair, _)| pair)
    }

    fn write_times(&self, page: &mut Page<'_>) -> Result<()> {
        let columns = [
            Column::text("group", 8),
            Column::text("client", 8),
            Column::numbers("hosts"),
            Column::numbers("done"),
            Column::numbers("least"),
            Column::numbers("median"),
            Column::numbers("90 %"),
            Column::numbers("most"),
            Column::numbers("in sim"),
            Column::numbers("ratio"),
        ];
        let groups = self.summary.groups.iter().zip(&self.done.simulated.groups).enumerate();
        let rows: Vec<Vec<String>> = groups
            .map(|(place, (real, simulated))| {
                let plan = &self.done.played.peers[place];
                let took =
                    |of: fn(&Quantiles) -> f64| real.took.as_ref().map_or(String::new(), |all| time(of(all)));
                let median = |group: &GroupSummary| group.took.as_ref().map(|all| all.median);
                let ratio = median(real).zip(median(simulated)).map(|(real, simulated)| real / simulated);
                let done = match (&self.skipped[place], real.role) {
                    (Some(_), _) => "skipped".to_owned(),
                    (None, Role::Leecher) => count(real.done as u64),
                    (None, Role::Seed) => String::new(),
                };
                vec![
                    real.name.clone(),
                    plan.client.name().to_owned(),
                    count(real.came as u64),
                    done,
                    took(|all| all.least),
                    took(|all| all.median),
                    took(|all| all.ninety),
                    took(|all| all.most),
                    median(simulated).map_or(String::new(), time),
                    ratio.map_or(String::new(), |ratio| format!("{ratio:.2}")),
                ]
            })
            .collect();
        Ok(page.table(&columns, &rows)?)
    }

    /// How long groups took to shares of the pieces, in the run and in the simulation.
    fn write_courses(&self, page: &mut Page<'_>) -> Result<()> {
        let columns: Vec<Column> = [Column::text("group", 8), Column::text("", 9)]
            .into_iter()
            .chain(SHARES.iter().map(|&(_, heading)| Column::numbers(heading)))
            .collect();
        let mut rows = Vec::new();
        for (real, simulated) in self.groups().filter(|(real, _)| real.role == Role::Leecher) {
            let at = |group: &GroupSummary, tenth: usize| group.tenths.get(tenth - 1).copied();
            let mut row = |name: &str, what: &str, cell: &dyn Fn(usize) -> Option<String>| {
                let cells = SHARES.iter().map(|&(tenth, _)| cell(tenth).unwrap_or_default());
                rows.push([name.to_owned(), what.to_owned()].into_iter().chain(cells).collect::<Vec<_>>());
            };
            row(&real.name, "real", &|tenth| at(real, tenth).map(time));
            row("", "simulated", &|tenth| at(simulated, tenth).map(time));
            row("", "ratio", &|tenth| Some(format!("{:.2}", at(real, tenth)? / at(simulated, tenth)?)));
        }
        Ok(page.table(&columns, &rows)?)
    }

    fn write_shares(&self, page: &mut Page<'_>) -> Result<()> {
        let columns = [
            Column::text("group", 8),
            Column::numbers("given"),
            Column::numbers("taken"),
            Column::numbers("ratio"),
            Column::numbers("in sim"),
            Column::numbers("used"),
            Column::numbers("in sim"),
            Column::numbers("Jain"),
            Column::numbers("in sim"),
        ];
        let number = |number: Option<f64>, digits: usize| {
            number.map_or(String::new(), |number| format!("{number:.digits$}"))
        };
        let row = |(real, simulated): (&GroupSummary, &GroupSummary)| {
            vec![
                real.name.clone(),
                rough_size(real.uploaded),
                rough_size(real.downloaded),
                number(real.ratio(), 2),
                number(simulated.ratio(), 2),
                real.used.map_or(String::new(), percent),
                simulated.used.map_or(String::new(), percent),
                number(real.jain, 3),
                number(simulated.jain, 3),
            ]
        };
        let rows: Vec<Vec<String>> = self.groups().map(row).collect();
        Ok(page.table(&columns, &rows)?)
    }

    /// The numbers of the whole swarm, with their meaning.
    fn numbers_in_words(&self) -> Vec<Vec<String>> {
        let words: [(&str, Show, &str); 7] = [
            ("last", time, "the last leecher had the file"),
            ("used", percent, "of what all links up could carry"),
            ("copies", fixed, "of the file, sent by the seeds"),
            ("first_copy", fixed, "the same until others had each piece"),
            ("spearman", fixed, "link up against time: -1 where faster links are done sooner"),
            ("overhead", percent, "bytes of messages, for each byte of content"),
            ("wasted", percent, "content that came in vain"),
        ];
        let (real, simulated) = (self.summary.numbers(), self.done.simulated.numbers());
        let cell = |number: Option<&f64>, show: Show| number.map_or(String::new(), |&number| show(number));
        words
            .into_iter()
            .filter(|(name, ..)| self.is_measured(name) && real.contains_key(*name))
            .map(|(name, show, meaning)| {
                vec![
                    name.to_owned(),
                    cell(real.get(name), show),
                    cell(simulated.get(name), show),
                    meaning.to_owned(),
                ]
            })
            .collect()
    }

    /// Writes one object.
    pub(super) fn write_json(&self, out: &mut dyn Write) -> Result<()> {
        let (done, summary) = (self.done, &self.summary);
        let scenario = &done.played;
        let has_capture = done.captured.is_some();
        let groups: Vec<Value> = (0..scenario.peers.len()).map(|place| self.group(place)).collect();
        let hosts: Vec<Value> = (0..done.hosts.len()).map(|place| self.host(place)).collect();
        let measured: Map<String, Value> = summary
            .numbers()
            .into_iter()
            .filter(|(name, _)| self.is_measured(name))
            .map(|(name, number)| (name, number.into()))
            .collect();
        let messages = self
            .seen
            .run
            .messages
            .kinds()
            .map(|(kind, number, bytes)| (kind.to_owned(), json!({ "number": number, "bytes": bytes })));
        let object = json!({
            "title": scenario.title,
            "size": scenario.torrent.size.0,
            "piece_length": scenario.torrent.piece.0,
            "network": if done.loopback { "loopback" } else { "bridge" },
            "seconds": summary.seconds,
            "bound_seconds": summary.bound,
            "last_seconds": summary.last,
            "groups": groups,
            "hosts": hosts,
            "numbers": measured,
            "simulated": {
                "numbers": done.simulated.numbers(),
                "last_seconds": done.simulated.last,
            },
            "messages": has_capture.then(|| messages.collect::<Map<_, _>>()),
            "content_bytes": has_capture.then_some(self.seen.run.messages.content),
            "packets_lost": done.captured.as_ref().and_then(|captured| captured.lost),
            "announces": done.announces,
            "expect": self.verdicts.iter().map(verdict_object).collect::<Vec<_>>(),
            "warnings": self.warnings,
            "course": has_capture.then(|| self.seen.run.samples.iter().map(sample).collect::<Vec<_>>()),
        });
        Ok(write_line(&object, out)?)
    }

    fn group(&self, place: usize) -> Value {
        let (real, simulated) = (&self.summary.groups[place], &self.done.simulated.groups[place]);
        let has_capture = self.done.captured.is_some();
        json!({
            "name": real.name,
            "role": real.role.name(),
            "client": self.done.played.peers[place].client.name(),
            "skipped": self.skipped[place],
            "came": real.came,
            "done": real.done,
            "took_seconds": quantiles(real.took),
            "first_block_seconds": real.first_block.filter(|_| has_capture),
            "tenths_seconds": has_capture.then_some(&real.tenths),
            "uploaded": has_capture.then_some(real.uploaded),
            "downloaded": has_capture.then_some(real.downloaded),
            "ratio": real.ratio(),
            "used": real.used.filter(|_| has_capture),
            "jain": real.jain,
            "simulated": {
                "done": simulated.done,
                "took_seconds": quantiles(simulated.took),
                "first_block_seconds": simulated.first_block,
                "tenths_seconds": simulated.tenths,
                "ratio": simulated.ratio(),
                "used": simulated.used,
                "jain": simulated.jain,
            },
        })
    }

    fn host(&self, place: usize) -> Value {
        let (host, report) = (&self.done.hosts[place], &self.seen.run.hosts[place]);
        let has_capture = self.done.captured.is_some();
        json!({
            "name": report.name,
            "group": self.done.played.peers[report.group].name,
            "client": host.client.name(),
            "address": host.address.to_string(),
            "arrived_seconds": report.arrived_at,
            "done_seconds": report.done_at,
            "left_seconds": report.left_at,
            "sent": has_capture.then_some(report.sent),
            "capacity": report.capacity,
            "uploaded": has_capture.then_some(report.uploaded),
            "downloaded": has_capture.then_some(report.downloaded),
            "wasted": has_capture.then_some(report.wasted),
            "opaque": has_capture.then_some(self.seen.opaque[place]),
            "processor_share": host.load.most,
            "failure": host.failure,
        })
    }
}

/// The tenths of the pieces of which a table tells; JSON has all.
const SHARES: [(usize, &str); 6] =
    [(1, "10 %"), (3, "30 %"), (5, "50 %"), (7, "70 %"), (9, "90 %"), (10, "all")];

/// How a number is written.
type Show = fn(f64) -> String;

fn fixed(number: f64) -> String {
    format!("{number:.2}")
}

/// Above this share of a processor the clients of a run slow each other down.
const MOST_LOAD: f64 = 0.5;
