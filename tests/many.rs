//! Many captures in one run: folders, lists and shards, workers, and a row for every capture, whatever becomes of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use bittrace_testing::captures::captures_folder;
use bittrace_testing::command::{self, run, scratch_folder};
use serde_json::Value;
use tempfile::TempDir;

const READABLE: [&str; 4] =
    ["corrupt-peer.pcap.gz", "download-aria2.pcap", "fast-extension.pcap", "http-seed.pcap"];

/// A folder with captures, one of them in a folder and one without an ending, broken captures, and other files.
fn mixed() -> TempDir {
    let folder = scratch_folder();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("inner")).expect("a folder can be made");
    for (from, to) in [
        ("corrupt-peer.pcap.gz", "corrupt-peer.pcap.gz"),
        ("download-aria2.pcap", "download-aria2"),
        ("fast-extension.pcap", "inner/fast-extension.pcap"),
        ("http-seed.pcap", "http-seed.pcap"),
        ("corrupt-peer.torrent", "corrupt-peer.torrent"),
        ("web-seed.torrent", "other.torrent"),
    ] {
        fs::copy(captures_folder().join(from), path(to)).expect("it can be copied");
    }
    let loss = fs::read(captures_folder().join("capture-loss.pcap")).expect("it can be read");
    let corrupt = [&loss[..2000], &[0xee; 3000]].concat();
    let others: [(&str, &[u8]); 6] = [
        ("cut.pcap", &loss[..3000]),
        ("corrupt.pcap", &corrupt),
        ("empty.pcap", b""),
        ("inner/text.pcapng", b"no capture at all"),
        ("inner/snoop", b"snoop\0\0\0\0\0\0\x02\0\0\0\x04 and more"),
        ("notes.txt", b"no capture, and it does not say so"),
    ];
    for (name, bytes) in others {
        fs::write(path(name), bytes).expect("it can be written");
    }
    folder
}

/// The captures of that folder in the order of their names.
const MIXED: [&str; 9] = [
    "./corrupt-peer.pcap.gz",
    "./corrupt.pcap",
    "./cut.pcap",
    "./download-aria2",
    "./empty.pcap",
    "./http-seed.pcap",
    "./inner/fast-extension.pcap",
    "./inner/snoop",
    "./inner/text.pcapng",
];

fn analyze(folder: &Path, arguments: &[&str]) -> Command {
    let arguments = [&["analyze"], arguments].concat();
    command::bittrace(env!("CARGO_BIN_EXE_bittrace"), folder, &arguments)
}

fn objects(ndjson: &str) -> Vec<Value> {
    ndjson.lines().map(|line| serde_json::from_str(line).expect("each line is an object")).collect()
}

/// The rows of captures by their name.
fn rows(ndjson: &str) -> BTreeMap<String, Value> {
    let rows = objects(ndjson).into_iter().filter_map(|mut object| Some(object.get_mut("capture")?.take()));
    rows.filter(Value::is_object)
        .map(|row| (row["capture"].as_str().expect("a name").to_owned(), row))
        .collect()
}

#[test]
fn every_number_of_jobs_gives_the_same_bytes() {
    let folder = mixed();
    for options in [
        "--format json",
        "--format json --hex --torrent corrupt-peer.torrent",
        "--format json --view findings,pieces,conversations,diagnosis,captures",
        "--format json --fields n,n_in_capture,answers,summary --filter answers",
        "--format json --no-summary",
        "--format json --stream 1,999 --local 192.0.2.9 --torrent other.torrent --torrent corrupt-peer.torrent",
        "--format csv",
        "--format csv --fields n,answers,message --limit 3",
        "--format csv --filter index==4000000",
        "--format csv --view findings",
        "--format csv --view pieces",
        "--format csv --view captures",
        "--view captures",
    ] {
        let options: Vec<&str> = [&["."], &options.split(' ').collect::<Vec<_>>()[..]].concat();
        let (code, alone, told) = run(&mut analyze(folder.path(), &options));
        assert_eq!(code, 2, "{options:?}: {told}");
        assert!(told.contains("./empty.pcap: empty") && told.contains("3 files skipped"), "{told}");
        for jobs in ["1", "4"] {
            let with_jobs = [&options[..], &["--jobs", jobs]].concat();
            assert_eq!(
                run(&mut analyze(folder.path(), &with_jobs)),
                (code, alone.clone(), told.clone()),
                "{with_jobs:?}"
            );
        }
    }
}

#[test]
fn every_capture_has_a_row_whatever_becomes_of_it() {
    let folder = mixed();
    let (_, json, told) = run(&mut analyze(folder.path(), &[".", "--format", "json"]));
    let rows = rows(&json);
    assert_eq!(rows.keys().collect::<Vec<_>>(), MIXED);
    for (name, row) in &rows {
        let broken =
            ["corrupt.pcap", "empty.pcap", "snoop", "text.pcapng"].iter().any(|end| name.ends_with(end));
        assert_eq!(row["ok"], !broken, "{row}");
        assert_eq!(row["exit"], if broken { 2 } else { 0 }, "{row}");
        let error = row["error"].as_str();
        assert_eq!(error.is_some(), broken, "{row}");
        assert!(error.is_none_or(|error| error.starts_with(name) && told.contains(error)), "{row}");
        // Of what is empty, or not a capture, no end is missing.
        let truncated = ["./corrupt.pcap", "./cut.pcap"].contains(&&**name);
        assert_eq!(row["truncated"], truncated, "{row}");
        assert_eq!(row["cut_at"].is_u64(), name == "./cut.pcap", "{row}");
        assert_eq!(row["schema"], "1");
    }
    // What came before the damage counts.
    assert!(rows["./corrupt.pcap"]["packets"].as_u64() > Some(0));
    let summary = objects(&json).pop().expect("a last object");
    assert_eq!(summary["summary"]["capture_count"], 9);
    assert_eq!(summary["summary"]["failed"], 4);
    let sum = |key: &str| rows.values().map(|row| row[key].as_u64().expect("a number")).sum::<u64>();
    for key in ["packets", "bytes"] {
        assert_eq!(summary["summary"][key], sum(key), "{key}");
    }
    let messages = objects(&json).iter().filter(|object| object.get("n").is_some()).count() as u64;
    assert_eq!(sum("messages"), messages);
}

#[test]
fn messages_are_numbered_over_the_run_and_in_their_capture() {
    let options = [&READABLE[..], &["--format", "json", "--jobs", "3"]].concat();
    let (code, json, _) = run(&mut analyze(&captures_folder(), &options));
    assert_eq!(code, 0);
    let mut before = 0;
    let mut captures = Vec::new();
    let messages: Vec<Value> =
        objects(&json).into_iter().filter(|object| object.get("n").is_some()).collect();
    for (at, message) in messages.iter().enumerate() {
        if captures.last() != Some(&message["capture"]) {
            captures.push(message["capture"].clone());
            before = at as u64;
        }
        assert_eq!(message["n"], at + 1);
        assert_eq!(message["n_in_capture"], at as u64 + 1 - before);
        if let Some(answers) = message["answers"].as_u64() {
            let request = &messages[answers as usize - 1];
            assert_eq!((&request["capture"], &request["src"]), (&message["capture"], &message["dst"]));
        }
    }
    assert_eq!(captures, READABLE);
}

#[test]
fn the_summary_does_not_grow_with_the_captures() {
    let summary = |captures: &[&str]| {
        let options = [captures, &["--format", "json", "--view", "captures"]].concat();
        let (_, json, _) = run(&mut analyze(&captures_folder(), &options));
        json.lines().last().expect("a last object").to_owned()
    };
    let (one, few, many) = (summary(&READABLE[..1]), summary(&READABLE), summary(&READABLE.repeat(20)));
    assert!(many.len() < few.len() + 100, "{many}");
    // What is in a capture is said once: in the summary of a run of one, else in the row.
    for list in ["torrents", "torrents_sought", "clients", "trackers", "connections"] {
        let (one, few) = (&objects(&one)[0]["summary"], &objects(&few)[0]["summary"]);
        assert!(one[list].is_array() && few[list].is_null(), "{list}");
    }
    let (_, json, _) =
        run(&mut analyze(&captures_folder(), &[&READABLE[..2], &["--format", "json"]].concat()));
    assert!(rows(&json).values().all(|row| row["connections"].is_array()));
}

/// A table is in memory as a whole, so that of very many captures is several.
#[test]
fn the_table_of_many_captures_begins_again_after_a_thousand() {
    let folder = scratch_folder();
    fs::write(folder.path().join("list"), "empty.pcap\n".repeat(1001)).expect("it can be written");
    fs::write(folder.path().join("empty.pcap"), "").expect("it can be written");
    let options = ["@list", "--view", "captures", "-q"];
    let (code, table, _) = run(&mut analyze(folder.path(), &options));
    let headings = table.lines().filter(|line| line.trim_start().starts_with("capture ")).count();
    assert_eq!((code, headings, table.lines().count()), (2, 2, 1003));
    let (_, with_jobs, _) = run(&mut analyze(folder.path(), &[&options[..], &["--jobs", "2"]].concat()));
    assert_eq!(with_jobs, table);
}

#[test]
fn lists_name_captures() {
    let folder = scratch_folder();
    let list = folder.path().join("list");
    let names = |argument: &str| {
        let options = [argument, "--format", "json", "--view", "captures"];
        let (code, json, told) = run(&mut analyze(&captures_folder(), &options));
        (code, rows(&json).into_keys().collect::<Vec<_>>(), told)
    };
    let argument = format!("@{}", list.display());
    fs::write(&list, format!("{}\r\n\n{}\n", READABLE[0], READABLE[1])).expect("it can be written");
    assert_eq!(names(&argument).1, READABLE[..2]);
    fs::write(&list, format!("{}\0{}\0", READABLE[1], READABLE[3])).expect("it can be written");
    assert_eq!(names(&argument).1, [READABLE[1], READABLE[3]]);
    fs::write(&list, "\n").expect("it can be written");
    let (code, _, told) = names(&argument);
    assert!(code == 2 && told.contains("the list has no names"), "{told}");
    let (code, _, told) = names("@missing-list");
    assert!(code == 2 && told.contains("@missing-list: the list cannot be read"), "{told}");
    // A folder without captures is an error of its own, and the others are read.
    fs::write(&list, format!("{}\n{}\n", folder.path().display(), READABLE[0])).expect("it can be written");
    let (code, read, told) = names(&argument);
    assert_eq!((code, read.len()), (2, 2), "{told}");
    assert!(told.ends_with(": no captures in this folder (1 file of other kinds)\n"), "{told}");
    let deep = folder.path().join("a/".repeat(70));
    fs::create_dir_all(&deep).expect("folders can be made");
    let (code, read, told) = names(&folder.path().join("a").to_string_lossy());
    assert_eq!((code, read.len()), (2, 1), "{told}");
    assert!(told.ends_with("a: this folder is too deep in others\n"), "{told}");

    let mut from_input =
        analyze(&captures_folder(), &["@-", "--format", "json", "--view", "captures", "--jobs", "2"]);
    fs::write(&list, format!("{}\n{}", READABLE[2], READABLE[3])).expect("it can be written");
    from_input.stdin(fs::File::open(&list).expect("it can be opened"));
    let (code, json, _) = run(&mut from_input);
    assert_eq!(
        (code, rows(&json).into_keys().collect::<Vec<_>>()),
        (0, READABLE[2..].iter().map(|name| (*name).to_owned()).collect())
    );
}

#[test]
fn shards_read_every_capture_once() {
    let folder = mixed();
    let mut read = Vec::new();
    for part in 1..=4 {
        let shard = format!("{part}/4");
        let options = [".", "--format", "json", "--shard", &shard, "--jobs", "2"];
        let (_, json, _) = run(&mut analyze(folder.path(), &options));
        read.extend(rows(&json).into_keys());
    }
    assert_eq!(read, MIXED);
    let (code, _, told) = run(&mut analyze(folder.path(), &[".", "--shard", "0/4"]));
    assert!(code == 2 && told.contains("expected I/N"), "{told}");
    let (code, json, told) =
        run(&mut analyze(folder.path(), &["cut.pcap", "--shard", "1/2", "--format", "json"]));
    assert!(
        code == 0 && rows(&json).is_empty() && told.contains("--shard 1/2: no capture, of 1 capture"),
        "{told}"
    );
}

#[test]
fn standard_input_has_the_name_that_it_is_given() {
    let input = || fs::File::open(captures_folder().join(READABLE[1])).expect("it can be opened");
    let mut named = analyze(&captures_folder(), &["-", "--name", "s3://bucket/a b.pcap", "--format", "json"]);
    let (code, json, _) = run(named.stdin(input()));
    assert_eq!(code, 0);
    assert!(
        objects(&json)[..58].iter().all(|message| message["capture"] == "s3://bucket/a b.pcap"),
        "{json}"
    );
    assert_eq!(rows(&json).into_keys().collect::<Vec<_>>(), ["s3://bucket/a b.pcap"]);
    let mut empty = analyze(&captures_folder(), &["-", "--name", "s3://empty", "--format", "json"]);
    let (code, json, told) = run(&mut empty);
    assert_eq!((code, rows(&json)["s3://empty"]["ok"].clone()), (2, Value::Bool(false)), "{told}");
}

#[test]
fn what_cannot_go_together_is_refused_with_what_to_do() {
    for (options, said) in [
        (&["a.pcap", "--jobs", "2"][..], "--jobs needs --format json, csv or parquet, or --view captures"),
        (&["a.pcap", "--jobs", "2", "--format", "perfetto"], "leave out --jobs"),
        (&["-", "--jobs", "2", "--format", "json"], "--jobs cannot read standard input"),
        (
            &["a.pcap", "--jobs", "2", "--format", "json", "--filter", "message == have or n < 5"],
            "use n_in_capture",
        ),
        (&["a.pcap", "--jobs", "0", "--format", "json"], "0 is not in 1..=1024"),
        (&["a.pcap", "--capture-timeout", "5"], "--jobs"),
        (&["a.pcap", "--name", "b"], "--name is for standard input"),
        (&["a.pcap", "--view", "captures,findings", "--format", "csv"], "--format csv takes one view"),
    ] {
        let (code, printed, told) = run(&mut analyze(&captures_folder(), options));
        assert_eq!((code, printed.as_str()), (2, ""), "{options:?}");
        assert!(told.contains(said), "{options:?}: {told}");
    }
}

/// What becomes of the processes. A capture that never ends is a pipe.
#[cfg(target_os = "linux")]
mod processes {
    use std::fs::File;
    use std::io::{BufRead, BufReader, Read};
    use std::path::PathBuf;
    use std::process::{Child, Stdio};
    use std::thread;
    use std::time::{Duration, Instant};

    use rustix::process::{Pid, Signal, kill_process};

    use super::*;

    /// Longer than anything here takes on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// A run over a capture, a pipe that holds nothing yet, and another capture.
    struct Run {
        child: Child,
        folder: TempDir,
        /// Without this end nobody could open the other one.
        _pipe: File,
    }

    impl Run {
        fn start(more: &[&str]) -> Self {
            let folder = scratch_folder();
            for name in [READABLE[1], READABLE[2]] {
                fs::copy(captures_folder().join(name), folder.path().join(name)).expect("it can be copied");
            }
            let pipe = folder.path().join("pipe.pcap");
            assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo starts").success());
            let pipe = File::options().read(true).write(true).open(pipe).expect("a pipe opens");
            let captures = [READABLE[1], "pipe.pcap", READABLE[2], "--jobs", "2", "--format", "json"];
            let mut command = analyze(folder.path(), &[&captures, more].concat());
            let child = spawn(&mut command, folder.path());
            Self { child, folder, _pipe: pipe }
        }

        /// Waits until a worker reads the pipe; its number.
        fn stuck_worker(&self) -> u32 {
            let pipe = self.folder.path().join("pipe.pcap");
            let pipe = pipe.canonicalize().expect("the pipe is there");
            let reads = |worker: &u32| {
                let open = fs::read_dir(format!("/proc/{worker}/fd")).into_iter().flatten().flatten();
                open.filter_map(|file| fs::read_link(file.path()).ok()).any(|path| path == pipe)
            };
            until("a worker reads the pipe", || children(self.child.id()).into_iter().find(reads))
        }

        /// Waits until the run ends: its exit code, standard output and standard error.
        fn end(mut self) -> (Option<i32>, String, String) {
            let read = |from: Option<Box<dyn Read + Send>>| {
                thread::spawn(move || {
                    let mut text = String::new();
                    from.expect("a pipe").read_to_string(&mut text).expect("output is UTF-8");
                    text
                })
            };
            let printed = read(self.child.stdout.take().map(|out| Box::new(out) as _));
            let told = read(self.child.stderr.take().map(|out| Box::new(out) as _));
            let code = self.child.wait().expect("it ends").code();
            assert_eq!(left_files(self.folder.path()), [] as [PathBuf; 0]);
            (code, printed.join().expect("it is read"), told.join().expect("it is read"))
        }
    }

    /// Starts a command whose temporary files are in `folder`.
    fn spawn(command: &mut Command, folder: &Path) -> Child {
        fs::create_dir(folder.join("temporary")).expect("a folder can be made");
        command.env("TMPDIR", folder.join("temporary"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("bittrace starts")
    }

    fn left_files(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder.join("temporary")).expect("it can be read");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    }

    fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn children(process: u32) -> Vec<u32> {
        let listed =
            fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
        listed.split_whitespace().map(|number| number.parse().expect("a number")).collect()
    }

    fn is_running(process: u32) -> bool {
        let status = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        status.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
    }

    fn send(process: u32, signal: Signal) {
        let process = Pid::from_raw(process.try_into().expect("a process number")).expect("not 0");
        kill_process(process, signal).expect("it can be sent");
    }

    /// The others of the run are whole, and this is the row of the pipe.
    fn row_of_pipe(json: &str) -> Value {
        let mut rows = rows(json);
        let pipe = rows.remove("pipe.pcap").expect("a row");
        assert!(rows.len() == 2 && rows.values().all(|row| row["ok"] == true), "{rows:?}");
        let (_, alone, _) =
            run(&mut analyze(&captures_folder(), &[&READABLE[1..3], &["--format", "json"]].concat()));
        let messages = |json: &str| {
            objects(json).into_iter().filter(|object| object.get("n").is_some()).collect::<Vec<_>>()
        };
        assert_eq!(messages(json), messages(&alone));
        assert_eq!(
            (&pipe["ok"], &pipe["exit"], &pipe["messages"]),
            (&Value::Bool(false), &2.into(), &0.into())
        );
        pipe
    }

    #[test]
    fn a_worker_that_is_killed_costs_its_capture_alone() {
        let run = Run::start(&[]);
        send(run.stuck_worker(), Signal::KILL);
        let (code, printed, told) = run.end();
        let error = "pipe.pcap: the process that read it ended early (signal: 9 (SIGKILL))";
        assert_eq!((code, &row_of_pipe(&printed)["error"]), (Some(2), &error.into()));
        // On a busy machine, how far the run is may be told as well.
        assert!(told.starts_with(&format!("bittrace: {error}\n")), "{told}");
    }

    #[test]
    fn a_capture_that_takes_too_long_is_given_up() {
        let (code, printed, told) = Run::start(&["--capture-timeout", "5"]).end();
        let error = "pipe.pcap: not read within 5 seconds (--capture-timeout)";
        assert_eq!((code, &row_of_pipe(&printed)["error"]), (Some(2), &error.into()));
        // On a busy machine, how far the run is may be told as well.
        assert!(told.starts_with(&format!("bittrace: {error}\n")), "{told}");
    }

    #[test]
    fn an_interrupt_shows_what_is_complete_and_leaves_nothing() {
        let run = Run::start(&[]);
        let worker = run.stuck_worker();
        send(run.child.id(), Signal::INT);
        let (code, printed, told) = run.end();
        assert_eq!(code, Some(130), "{told}");
        assert!(!is_running(worker));
        assert!(told.contains("bittrace: interrupted; ") && told.contains(" not read"), "{told}");
        assert!(!rows(&printed).contains_key("pipe.pcap"), "{printed}");
        assert!(objects(&printed).pop().expect("a last object")["summary"].is_object());
    }

    #[test]
    fn workers_end_and_tidy_up_where_their_parent_is_killed() {
        let run = Run::start(&[]);
        run.stuck_worker();
        let workers = children(run.child.id());
        send(run.child.id(), Signal::KILL);
        let folder = run.folder.path().to_owned();
        until("the workers end", || workers.iter().all(|worker| !is_running(*worker)).then_some(()));
        until("nothing is left", || left_files(&folder).is_empty().then_some(()));
        assert_eq!(run.end().0, None);
    }

    #[test]
    fn a_reader_that_goes_ends_the_run_quietly() {
        let folder = scratch_folder();
        let captures = READABLE.repeat(30);
        let mut command =
            analyze(&captures_folder(), &[&captures, &["--jobs", "2", "--format", "json"][..]].concat());
        let mut child = spawn(&mut command, folder.path());
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let ended = child.wait_with_output().expect("it ends");
        assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""));
        assert_eq!(left_files(folder.path()), [] as [PathBuf; 0]);
    }

    #[test]
    fn a_full_disk_is_told_and_leaves_nothing() {
        let folder = scratch_folder();
        let mut command =
            analyze(&captures_folder(), &[&READABLE, &["--jobs", "2", "--format", "json"][..]].concat());
        fs::create_dir(folder.path().join("temporary")).expect("a folder can be made");
        command.env("TMPDIR", folder.path().join("temporary"));
        command.stdout(File::options().write(true).open("/dev/full").expect("it can be opened"));
        let (code, _, told) = run(command.stderr(Stdio::piped()));
        assert_eq!(code, 2);
        assert!(told.contains("No space left on device"), "{told}");
        assert_eq!(left_files(folder.path()), [] as [PathBuf; 0]);
        let (code, _, told) = run(command.env("TMPDIR", "/missing"));
        assert!(code == 2 && told.contains("a temporary folder cannot be made"), "{told}");
    }
}
