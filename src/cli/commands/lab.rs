//! `bittrace lab`: whole swarms, from a scenario to a capture and a summary.

mod figures;
mod page;
mod real;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bittrace_lab::scenario::{Behaviour, Client, Hosts, Role};
use bittrace_lab::{LabError, Run, Scenario, Snap, Summary, World, WorldOptions};
use bittrace_protocol::session::{EncryptionPolicy, Profile};
use bittrace_replay::infer_profile;
use bittrace_trace::TraceOptions;
use bittrace_trace::units::counted;
use serde::de::IgnoredAny;

use crate::Exit;
use crate::args::{Common, LabFormat, SimArguments, SnapChoice};
use crate::commands::diff::transcribe;
use crate::commands::profile::own_profile;
use crate::failure::{say, warn};
use crate::file_kind::FileKind;
use crate::input;
use crate::interrupt::interrupted;
use crate::page_file::PageFile;
use crate::print::output::Output;

pub(crate) use figures::figures;
pub(crate) use real::real;

/// Runs `bittrace lab sim`.
pub(crate) fn sim(arguments: &SimArguments, common: Common, mut output: Output) -> Result<Exit> {
    let scenario = read_scenario(&arguments.scenario)?;
    for group in scenario.peers.iter().filter(|group| group.client != Client::Ours) {
        let client = group.client.name();
        let told = format!("{}: bittrace is simulated in place of {client}: lab real starts it", group.name);
        warn(common, &told);
    }
    let read = [arguments.scenario.as_path()];
    let hosts = chosen_hosts(&scenario, &arguments.record_hosts)?;
    let vantage = arguments.vantage.as_deref().map(|name| vantage(&scenario, name)).transpose()?;
    let file = |option, path: &Option<PathBuf>| {
        path.as_ref().map(|path| PageFile::create_for(option, path, &read, &output)).transpose()
    };
    let torrent = file("--write-torrent", &arguments.write_torrent)?;
    let record = file("--record", &arguments.record)?;
    if record.as_ref().is_some_and(PageFile::is_output) && arguments.format == LabFormat::Json {
        bail!("--record - and --format json both write to standard output: give --record a file");
    }
    // A capture on standard output leaves the summary to standard error.
    let to_errors = record.as_ref().is_some_and(PageFile::is_output);
    let snap = snap(&scenario, arguments.snap);
    let profiles = profiles(&scenario, &arguments.scenario, common, &output)?;
    let options = WorldOptions { seed: arguments.seed, snap, hosts, vantage, profiles, record: None };
    let (run, name) = match record {
        Some(file) => {
            let (name, mut file) = (file.name(), file.open());
            let options = WorldOptions { record: Some(Box::new(&mut file)), ..options };
            let run = World::new(&scenario, options)?.run_while(|| !interrupted())?;
            file.finish()?;
            (run, Some(name))
        }
        None => (World::new(&scenario, options)?.run_while(|| !interrupted())?, None),
    };
    if run.keys_left_out > 0 {
        let without = counted(run.keys_left_out, "encrypted connection");
        warn(common, &format!("the capture has as many keys as readers take: {without} cannot be read"));
    }
    if let Some(file) = torrent {
        file.write(|out| out.write_all(&run.torrent))?;
    }
    if interrupted() {
        warn(common, "interrupted: the results cover the time up to then");
    }
    let summary = Summary::of(&scenario, &run);
    match arguments.format {
        LabFormat::Json => page::write_json(&scenario, &summary, &run, &mut output)?,
        LabFormat::Table if to_errors => {
            let mut text = Vec::new();
            page::write_table(&scenario, &summary, &run, output.look, &mut text)?;
            if !common.quiet {
                say(&String::from_utf8_lossy(&text));
            }
        }
        LabFormat::Table => page::write_table(&scenario, &summary, &run, output.look, &mut output)?,
    }
    output.flush()?;
    tell_of_capture(name.as_deref(), &run, snap, common);
    let kept = summary.verdicts(&scenario).iter().all(|verdict| verdict.holds);
    Ok(match (interrupted(), kept) {
        (true, _) => Exit::Interrupted,
        (false, true) => Exit::Done,
        (false, false) => Exit::Matched,
    })
}

fn tell_of_capture(name: Option<&str>, run: &Run, snap: Snap, common: Common) {
    let Some(name) = name.filter(|_| !common.quiet) else { return };
    let without =
        if snap == Snap::Headers { ", without the content of blocks over TCP in clear" } else { "" };
    say(&format!("bittrace: {name}: {}{without}", counted(run.packets, "packet")));
}

/// Reads a scenario.
pub(crate) fn read_scenario(path: &Path) -> Result<Scenario> {
    let name = || path.display().to_string();
    let text = match path == Path::new("-") {
        true => {
            let mut text = String::new();
            std::io::stdin().take(MOST_TEXT).read_to_string(&mut text).map(|_| text)
        }
        false => read_text(path),
    };
    let text = match text {
        Err(error) if path.is_dir() || error.kind() == ErrorKind::InvalidData => {
            bail!(NotAScenario { path: path.to_owned() })
        }
        text => text.with_context(name)?,
    };
    match Scenario::parse(&text) {
        Err(LabError::Scenario { .. }) if is_of_other_kind(&text) => {
            bail!(NotAScenario { path: path.to_owned() })
        }
        Err(LabError::Scenario { line, what }) => bail!("{}:{line}: {what}", name()),
        scenario => scenario.with_context(name),
    }
}

/// Whether text that is no scenario is a file of another kind. `[ torrent ]` begins a table of TOML, as `[ {` begins JSON.
fn is_of_other_kind(text: &str) -> bool {
    match FileKind::of_bytes(text.as_bytes()) {
        Some(FileKind::Json) if text.trim_start().starts_with('[') => {
            let mut values = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
            values.next().is_some_and(|value| value.is_ok())
        }
        kind => kind.is_some(),
    }
}

/// A file of another kind in the place of a scenario.
#[derive(Debug)]
pub(crate) struct NotAScenario {
    pub(crate) path: PathBuf,
}

impl fmt::Display for NotAScenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = if self.path.is_dir() { "a folder and not" } else { "not" };
        let wanted = "expected text in TOML with [[peers]], as in examples/lab/one-seed.toml";
        write!(f, "{}: {found} a scenario: {wanted}", self.path.display())
    }
}

impl std::error::Error for NotAScenario {}

/// The text of a file, up to more than anybody writes: a capture is not read to its end.
fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MOST_TEXT).read_to_string(&mut text)?;
    Ok(text)
}

/// The behaviour of the clients of captures that the scenario names, by the paths as it names them: from its own folder.
fn profiles(
    scenario: &Scenario,
    path: &Path,
    common: Common,
    output: &Output,
) -> Result<BTreeMap<String, Profile>> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut profiles = BTreeMap::new();
    for group in &scenario.peers {
        let Behaviour::Like(name) = &group.behaviour else { continue };
        let trace = input::open(&folder.join(name), TraceOptions::default(), output)?;
        let learnt = infer_profile(&transcribe(trace, None, common)?, own_profile())?;
        let mut profile = learnt.profile;
        // Nothing is encrypted unless the scenario says so.
        profile.encryption.policy = EncryptionPolicy::Off;
        profiles.insert(name.clone(), profile);
    }
    Ok(profiles)
}

/// How much of each packet is recorded.
fn snap(scenario: &Scenario, choice: Option<SnapChoice>) -> Snap {
    let leechers = scenario.peers.iter().filter(|group| group.role == Role::Leecher);
    let taken = leechers.map(|group| u64::from(group.count)).sum::<u64>() * scenario.torrent.size.0;
    match choice {
        Some(SnapChoice::Whole) => Snap::Whole,
        Some(SnapChoice::Headers) => Snap::Headers,
        None if taken > MOST_WHOLE => Snap::Headers,
        None => Snap::Whole,
    }
}

/// The numbers of the hosts that are named: one by its name, a group, or a part of a group.
fn chosen_hosts(scenario: &Scenario, names: &[String]) -> Result<Option<BTreeSet<u32>>> {
    if names.is_empty() {
        return Ok(None);
    }
    let all = scenario.host_names();
    let mut chosen = BTreeSet::new();
    for name in names {
        let hosts = Hosts(name.clone());
        let mut named =
            (0..).zip(&all).filter(|(_, host)| hosts.has(host)).map(|(number, _)| number).peekable();
        if named.peek().is_none() {
            bail!("--record-hosts {name}: no host or group has this name");
        }
        chosen.extend(named);
    }
    Ok(Some(chosen))
}

/// The number of the host that has this name.
fn vantage(scenario: &Scenario, name: &str) -> Result<u32> {
    let names = scenario.host_names();
    match (0..).zip(&names).find(|(_, host)| *host == name) {
        Some((number, _)) => Ok(number),
        None => bail!(
            "--vantage {name}: no host has this name: hosts are called {}, for example",
            names[names.len() - 1]
        ),
    }
}

/// A scenario on standard input: far more than anybody writes.
const MOST_TEXT: u64 = 16 << 20;

/// Above so many bytes of content in a capture, content is left out.
const MOST_WHOLE: u64 = 2 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_hosts_are_named_as_events_name_them() {
        let scenario = Scenario::parse("[[peers]]\nrole = 'seed'\n[[peers]]\ncount = 9\n").unwrap();
        let chosen = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            chosen_hosts(&scenario, &names)
                .map(|chosen| chosen.unwrap_or_default().into_iter().collect::<Vec<_>>())
        };
        assert_eq!(chosen(&["tracker", "leecher-3..5", "seed"]).unwrap(), [0, 1, 4, 5, 6]);
        assert_eq!(chosen(&["leecher-9"]).unwrap(), [10]);
        assert!(chosen(&["leecher-10..12"]).is_err() && chosen(&["leech"]).is_err());
    }
}
