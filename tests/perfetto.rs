//! `analyze --format perfetto`: a trace that is well formed, and says what the JSON of the same messages says.

use std::collections::{BTreeMap, BTreeSet};

use bittrace_testing::captures::{arguments, captures, captures_folder};
use bittrace_testing::{assert_printed, command};
use serde_json::Value;

/// What `analyze` writes in `captures/` with these arguments: exit code, standard output, standard error.
fn analyze(arguments: &[&str]) -> (i32, String, String) {
    let arguments = [&["analyze"], arguments].concat();
    command::run(&mut command::bittrace(env!("CARGO_BIN_EXE_bittrace"), &captures_folder(), &arguments))
}

/// The messages that `analyze` writes as JSON.
fn messages(arguments: &[&str]) -> Vec<Value> {
    let (code, json, stderr) = analyze(&[arguments, &["--format", "json", "--no-summary"]].concat());
    assert_eq!(code, 0, "{arguments:?}: {stderr}");
    json.lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
}

/// A trace whose events have what the Trace Event Format asks for.
struct CheckedTrace {
    /// The messages, by their number.
    instants: BTreeMap<u64, Value>,
    slices: Vec<Slice>,
    /// Each value of a counter, by process, name and end.
    counters: BTreeMap<(u64, String, String), Vec<(f64, u64)>>,
    /// The names of processes, and the numbers of threads.
    processes: BTreeMap<u64, String>,
    threads: BTreeMap<u64, String>,
}

struct Slice {
    category: String,
    name: String,
    process: u64,
    from: f64,
    to: f64,
    args: Value,
}

fn number(event: &Value, key: &str) -> u64 {
    event[key].as_u64().unwrap_or_else(|| panic!("no number {key} in {event}"))
}

fn time(event: &Value, key: &str) -> f64 {
    event[key].as_f64().unwrap_or_else(|| panic!("no number {key} in {event}"))
}

fn text(event: &Value, key: &str) -> String {
    event[key].as_str().unwrap_or_else(|| panic!("no text {key} in {event}")).to_owned()
}

/// Whether two times in microseconds are the same nanosecond.
fn is_same(one: f64, other: f64) -> bool {
    (one - other).abs() < 0.000_6
}

fn trace(arguments: &[&str]) -> CheckedTrace {
    let (code, document, stderr) = analyze(&[arguments, &["--format", "perfetto"]].concat());
    assert_eq!(code, 0, "{arguments:?}: {stderr}");
    check(&document)
}

fn check(document: &str) -> CheckedTrace {
    let document: Value = serde_json::from_str(document).expect("one document");
    let mut checked = CheckedTrace {
        instants: BTreeMap::new(),
        slices: Vec::new(),
        counters: BTreeMap::new(),
        processes: BTreeMap::new(),
        threads: BTreeMap::new(),
    };
    let mut open: BTreeMap<(u64, String, u64), Slice> = BTreeMap::new();
    // Slices of one category and number, by the time that the last ended.
    let mut ended: BTreeMap<(u64, String, u64), f64> = BTreeMap::new();
    for event in document["traceEvents"].as_array().expect("a list of events") {
        let process = number(event, "pid");
        let name = text(event, "name");
        match text(event, "ph").as_str() {
            "M" => {
                let value = text(&event["args"], "name");
                let known = match name.as_str() {
                    "process_name" => checked.processes.insert(process, value),
                    "thread_name" => checked.threads.insert(number(event, "tid"), value),
                    _ => panic!("{event}"),
                };
                assert_eq!(known, None, "{event} is a second name");
                continue;
            }
            "i" => {
                assert_eq!(text(event, "s"), "t");
                assert!(event["ts"].is_number());
                let earlier = checked.instants.insert(number(&event["args"], "n"), event.clone());
                assert_eq!(earlier, None, "{event} is there twice");
            }
            "b" => {
                let key = (process, text(event, "cat"), number(event, "id"));
                let from = time(event, "ts");
                assert!(ended.get(&key).is_none_or(|ended| *ended <= from), "{event} overlaps");
                let args = event["args"].clone();
                let slice = Slice { category: key.1.clone(), name, process, from, to: f64::NAN, args };
                assert!(open.insert(key, slice).is_none(), "{event} begins before the last has ended");
            }
            "e" => {
                let key = (process, text(event, "cat"), number(event, "id"));
                let mut slice = open.remove(&key).unwrap_or_else(|| panic!("{event} has no begin"));
                slice.to = time(event, "ts");
                assert!(slice.name == name && slice.from <= slice.to, "{event}");
                ended.insert(key, slice.to);
                checked.slices.push(slice);
            }
            "C" => {
                let args = event["args"].as_object().expect("values");
                assert_eq!(args.len(), 1, "{event}");
                for (of, value) in args {
                    let key = (process, name.clone(), of.clone());
                    let value = value.as_u64().expect("a count");
                    checked.counters.entry(key).or_default().push((time(event, "ts"), value));
                }
                continue;
            }
            phase => panic!("unknown phase {phase}"),
        }
        assert!(checked.processes.contains_key(&process), "{event} is of a process without a name");
        assert!(checked.threads.contains_key(&number(event, "tid")), "{event} is of a thread without a name");
    }
    assert!(open.is_empty(), "{} slices without an end", open.len());
    let (processes, threads): (BTreeSet<_>, BTreeSet<_>) =
        (checked.processes.keys().collect(), checked.threads.keys().collect());
    assert!(processes.is_disjoint(&threads), "a thread has the number of a process");
    checked
}

#[test]
fn a_trace_has_each_message_answer_and_byte_of_its_capture() {
    let (mut answers, mut all) = (0, 0);
    for path in captures() {
        let capture = arguments(&path);
        let capture: Vec<&str> = capture.iter().map(String::as_str).collect();
        let (trace, messages) = (trace(&capture), messages(&capture));
        assert_eq!(trace.instants.len(), messages.len(), "{capture:?}");
        let mut waits: BTreeMap<u64, &Slice> = BTreeMap::new();
        for slice in trace.slices.iter().filter(|slice| slice.category == "answer") {
            waits.insert(number(&slice.args, "n"), slice);
        }
        let mut bytes: BTreeMap<(u64, String), u64> = BTreeMap::new();
        for message in &messages {
            let event = &trace.instants[&number(message, "n")];
            let at = time(message, "elapsed") * 1e6;
            assert!(is_same(time(event, "ts"), at), "{event} is not at {at}");
            for (key, value) in [("name", &message["message"]), ("cat", &message["protocol"])]
                .map(|(key, value)| (&event[key], value))
            {
                assert_eq!(key, value, "{event}");
            }
            let args = &event["args"];
            assert_eq!(
                (&args["frame"], &args["summary"]),
                (&message["wireshark"]["frame"], &message["summary"])
            );
            let rules = message["notes"].as_array().expect("notes").iter().map(|note| text(note, "rule"));
            let findings = args["findings"].as_str().unwrap_or_default();
            assert!(rules.into_iter().all(|rule| findings.contains(&rule)), "{event}");
            let wait = waits.remove(&number(message, "n"));
            assert_eq!(wait.is_some(), message["answers"].is_number(), "{event}");
            if let Some(wait) = wait {
                let asked = &messages[number(message, "answers") as usize - 1];
                assert!(is_same(wait.from, time(asked, "elapsed") * 1e6) && is_same(wait.to, at), "{event}");
                answers += 1;
            }
            let process = number(message, "stream") * 3 + 1;
            assert_eq!(number(event, "pid"), process);
            *bytes.entry((process, text(message, "speaker"))).or_default() += number(message, "length");
        }
        assert!(waits.is_empty());
        for ((process, side), sum) in bytes.into_iter().filter(|(_, sum)| *sum > 0) {
            let values = &trace.counters[&(process, "bytes".to_owned(), side)];
            assert!(values.is_sorted_by_key(|(_, value)| *value), "{capture:?}: {values:?}");
            assert_eq!(values.last().map(|(_, value)| *value), Some(sum), "{capture:?}");
        }
        all += messages.len();
    }
    assert!(answers > 500 && all > 1_500, "{answers} of {all}");
}

/// When a state of one end holds, by its messages alone, from the first message between the peers on: begins and ends, the
/// last end left out where it holds to the end of the stream.
fn periods(messages: &[&Value], speaker: &str, (on, off): (&str, &str), begins: bool) -> Vec<f64> {
    let first = time(messages[0], "elapsed") * 1e6;
    let mut times = if begins { vec![first] } else { Vec::new() };
    for message in messages.iter().filter(|message| message["speaker"] == speaker) {
        let holds = times.len() % 2 == 1;
        let changes = if holds { message["message"] == off } else { message["message"] == on };
        if changes {
            times.push(time(message, "elapsed") * 1e6);
        }
    }
    times
}

#[test]
fn choking_and_interest_are_slices_from_one_message_to_the_next() {
    let mut slices = 0;
    for path in captures() {
        let capture = arguments(&path);
        let capture: Vec<&str> = capture.iter().map(String::as_str).collect();
        let (trace, messages) = (trace(&capture), messages(&capture));
        let streams: BTreeSet<u64> = messages.iter().map(|message| number(message, "stream")).collect();
        for stream in streams {
            let of_stream: Vec<&Value> =
                messages.iter().filter(|message| message["stream"] == stream).collect();
            let peers: Vec<&Value> =
                of_stream.iter().copied().filter(|message| message["protocol"] == "peer-wire").collect();
            let begins = of_stream[0]["message"] == "handshake" || of_stream[0]["message"] == "key-exchange";
            if peers.is_empty() || !begins {
                continue;
            }
            for speaker in ["local", "far"] {
                for (name, pair, holds_at_first) in [
                    ("chokes", ("choke", "unchoke"), true),
                    ("is interested", ("interested", "not-interested"), false),
                ] {
                    let expected = periods(&peers, speaker, pair, holds_at_first);
                    let name = format!("{speaker} {name}");
                    let mut found: Vec<f64> = trace
                        .slices
                        .iter()
                        .filter(|slice| slice.process == stream * 3 + 1 && slice.name == name)
                        .flat_map(|slice| [slice.from, slice.to])
                        .collect();
                    if expected.len() % 2 == 1 {
                        let last = found.pop().expect("the state ends with the stream");
                        assert!(last >= time(peers[peers.len() - 1], "elapsed") * 1e6 - 0.001);
                    }
                    let is_equal = found.iter().zip(&expected).all(|(one, other)| is_same(*one, *other));
                    assert!(
                        found.len() == expected.len() && is_equal,
                        "{capture:?}: stream {stream}, {name}: {found:?}, not {expected:?}"
                    );
                    slices += found.len() / 2;
                }
            }
        }
    }
    assert!(slices > 80, "{slices}");
}

#[test]
fn requests_that_are_outstanding_are_counted_down_to_none() {
    let trace = trace(&["download-aria2.pcap"]);
    let mut most = 0;
    for ((_, name, _), values) in &trace.counters {
        if name == "outstanding requests" {
            most = most.max(values.iter().map(|(_, value)| *value).max().unwrap_or_default());
            assert_eq!(values.last().map(|(_, value)| *value), Some(0), "{values:?}");
        }
    }
    assert!(most > 1, "{most}");
}

#[test]
fn a_filter_chooses_what_is_in_the_trace() {
    let chosen = ["download-aria2.pcap", "--filter", "message == piece"];
    let (trace, messages) = (trace(&chosen), messages(&chosen));
    assert!(!messages.is_empty());
    assert!(trace.instants.values().all(|event| event["name"] == "piece"));
    assert_eq!(trace.instants.len(), messages.len());
    let answered = messages.iter().filter(|message| message["answers"].is_number()).count();
    assert_eq!(trace.slices.iter().filter(|slice| slice.name == "wait for piece").count(), answered);
    // States and bytes are those of all messages, where the stream is shown.
    let whole = self::trace(&["download-aria2.pcap"]);
    let first = |process: u64| {
        let times = trace.instants.values().filter(|event| number(event, "pid") == process);
        times.map(|event| time(event, "ts")).fold(f64::INFINITY, f64::min)
    };
    let states = |trace: &CheckedTrace| -> Vec<(u64, String, f64, f64)> {
        let states = trace.slices.iter().filter(|slice| slice.category == "state");
        let mut states: Vec<_> = states
            .filter(|slice| slice.to >= first(slice.process))
            .map(|slice| (slice.process, slice.name.clone(), slice.from, slice.to))
            .collect();
        states.sort_by(|one, other| one.partial_cmp(other).expect("times compare"));
        states
    };
    assert!(!states(&trace).is_empty());
    assert_eq!(states(&trace), states(&whole));
    for (key, values) in trace.counters.iter().filter(|((_, name, _), _)| name == "bytes") {
        assert_eq!(
            values.last().map(|(_, sum)| sum),
            whole.counters[key].last().map(|(_, sum)| sum),
            "{key:?}"
        );
    }
    let limited = check(&analyze(&["download-aria2.pcap", "--format", "perfetto", "--limit", "3"]).1);
    assert_eq!(limited.instants.len(), 3);
}

#[test]
fn the_streams_of_several_captures_are_processes_of_their_own() {
    let files = ["download-aria2.pcap", "http-tracker-single-peer.pcap"];
    let together = trace(&files);
    let apart = files.map(|file| trace(&[file]));
    assert_eq!(together.processes.len(), apart[0].processes.len() + apart[1].processes.len());
    assert_eq!(together.instants.len(), apart[0].instants.len() + apart[1].instants.len());
    for (file, alone) in files.iter().zip(&apart) {
        let named = together.processes.values().filter(|name| name.ends_with(file));
        assert!(named.eq(alone.processes.values()), "{file}");
    }
    // A capture without messages, and one that is not there, leave the document whole.
    let (code, document, stderr) = analyze(&["not-bittorrent.pcapng", "absent.pcap", "--format", "perfetto"]);
    assert_eq!(code, 2, "{stderr}");
    assert!(check(&document).instants.is_empty());
}

#[test]
fn options_that_say_how_rows_look_are_refused() {
    for option in
        [&["--hex"][..], &["--fields", "n"], &["--view", "summary"], &["--sort", "rate"], &["-o", "x"]]
    {
        let arguments = [&["download-aria2.pcap", "--format", "perfetto"], option].concat();
        let (code, stdout, stderr) = analyze(&arguments);
        assert_eq!((code, stdout.as_str()), (2, ""), "{option:?}");
        assert!(stderr.contains(option[0]), "{stderr}");
    }
}

#[test]
fn a_trace_as_it_is_written() {
    let arguments = ["http-tracker-single-peer.pcap", "--format", "perfetto", "--limit", "8"];
    let (code, document, stderr) = analyze(&arguments);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_printed!("analyze", "perfetto", document);
}
