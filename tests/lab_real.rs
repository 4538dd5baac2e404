//! `bittrace lab real` as a user runs it: real clients on links of this machine.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bittrace_testing::captures::records;
use bittrace_testing::command::{self, scratch_folder};
use bittrace_testing::programs::{can_make_namespaces, is_there, skip};
use bittrace_trace::{Capture, Protocol};
use serde_json::Value;

const BITTRACE: &str = env!("CARGO_BIN_EXE_bittrace");

/// The command on a scenario in this folder, whose temporary files are in its folder `tmp`.
fn command_on(folder: &Path, scenario: &str, arguments: &[&str]) -> Command {
    fs::write(folder.join("swarm.toml"), scenario).expect("a scenario");
    fs::create_dir_all(folder.join("tmp")).expect("a folder");
    let all = [&["lab", "real", "swarm.toml"], arguments].concat();
    let mut command = command::bittrace(BITTRACE, folder, &all);
    command.env("TMPDIR", folder.join("tmp"));
    command
}

fn run(folder: &Path, scenario: &str, arguments: &[&str]) -> (i32, String, String) {
    command::run(&mut command_on(folder, scenario, arguments))
}

fn json(printed: &str) -> Value {
    serde_json::from_str(printed).expect("JSON")
}

/// Processes that have the folder of a test in their arguments.
fn processes_of(folder: &Path) -> Vec<i32> {
    let name = folder.display().to_string();
    let processes = fs::read_dir("/proc").expect("processes").flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let has_it = |number: &i32| {
        let words = fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).contains(&name)
    };
    numbers.filter(has_it).collect()
}

/// What there is of networks on this machine: bridges, network namespaces that have a name, and what is mounted.
fn networks() -> [String; 3] {
    let said = |words: &[&str]| {
        let output = Command::new("ip").args(words).output().expect("ip runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let mounted = fs::read_to_string("/proc/self/mounts").expect("mounts");
    [said(&["-o", "link", "show", "type", "bridge"]), said(&["netns", "list"]), mounted]
}

/// A test with the machine to itself, as far as these tests go: they measure time. And what was there before.
struct Alone {
    _lock: File,
    before: [String; 3],
}

impl Alone {
    /// Waits until the other tests of this file are over; `None` where the machine cannot have a network for the test.
    fn on_this_machine() -> Option<Self> {
        let can = can_make_namespaces() && is_there("tc") && (is_there("dumpcap") || is_there("tcpdump"));
        if !can {
            return None;
        }
        let lock = File::create(std::env::temp_dir().join("bittrace-lab-real.lock")).expect("a file");
        lock.lock().expect("a lock");
        Some(Self { _lock: lock, before: networks() })
    }

    /// Processes, files, networks and mounts are as they were.
    fn assert_nothing_is_left(&self, folder: &Path) {
        assert_eq!(processes_of(folder), Vec::<i32>::new());
        let files: Vec<_> = fs::read_dir(folder.join("tmp")).expect("a folder").flatten().collect();
        assert!(files.is_empty(), "{files:?}");
        assert_eq!(networks(), self.before);
    }
}

/// The rates of the flash crowd of Bharambe and others, with less content: about half a minute.
const FLASH_CROWD: &str = include_str!("../examples/lab/agreement.toml");

#[test]
#[ignore = "times are true on a machine that has nothing else to do: run it alone"]
fn real_and_simulated_medians_agree() {
    let Some(_alone) = Alone::on_this_machine() else { return };
    let folder = scratch_folder();
    let (code, printed, errors) = run(folder.path(), FLASH_CROWD, &["--format", "json"]);
    assert_eq!(code, 0, "{printed}{errors}");
    let leechers = &json(&printed)["groups"][1];
    let median = |of: &Value| of["took_seconds"]["median"].as_f64().expect("a median");
    let ratio = median(leechers) / median(&leechers["simulated"]);
    assert!((0.9..1.1).contains(&ratio), "{ratio}: {leechers:#}");
}

#[test]
fn a_flash_crowd_of_ours_finishes_and_its_capture_is_whole() {
    let Some(alone) = Alone::on_this_machine() else { return };
    let folder = scratch_folder();
    let arguments = ["--format", "json", "--record", "net.pcapng", "--write-torrent", "net.torrent"];
    let (code, printed, errors) = run(folder.path(), FLASH_CROWD, &arguments);
    assert_eq!(code, 0, "{printed}{errors}");
    let object = json(&printed);
    let leechers = &object["groups"][1];
    assert_eq!((&leechers["came"], &leechers["done"]), (&8.into(), &8.into()), "{errors}");
    // What is less than the least that is possible is measured wrongly.
    assert!(object["last_seconds"].as_f64() > object["bound_seconds"].as_f64(), "{object:#}");
    assert_eq!(object["packets_lost"], 0);
    // The run and the simulation stand side by side, tenth by tenth.
    for of in [leechers, &leechers["simulated"]] {
        let tenths: Vec<f64> = serde_json::from_value(of["tenths_seconds"].clone()).expect("tenths");
        assert!(tenths.len() == 10 && tenths.is_sorted(), "{tenths:?}");
        assert!(of["first_block_seconds"].as_f64().is_some_and(|first| first < tenths[9]), "{of:#}");
    }
    alone.assert_nothing_is_left(folder.path());

    // The capture has every host by its name, and segments as they were.
    let file = folder.path().join("net.pcapng");
    let mut capture = Capture::open(&file).expect("a capture");
    let mut longest = 0;
    while let Some(packet) = capture.next_packet().expect("packets") {
        longest = longest.max(packet.original_length);
    }
    assert!(longest <= 1514, "{longest}");
    let names: Vec<String> = capture.hosts().iter().flat_map(|host| host.names.clone()).collect();
    assert_eq!(names.len(), 10);
    assert_eq!(names[..3], ["tracker", "seed-1", "leecher-1"]);
    assert!(capture.comments()[0].contains("size = \"4 MiB\""), "{:?}", capture.comments());
    let analyze =
        ["analyze", "net.pcapng", "--local", "none", "--torrent", "net.torrent", "--format", "json"];
    let (code, read, errors) = command::run(&mut command::bittrace(BITTRACE, folder.path(), &analyze));
    assert_eq!((code, &*errors), (0, ""));
    let summary = json(read.lines().last().expect("a summary"));
    let findings = &summary["summary"]["findings"];
    assert!(findings.is_object() && findings["error"].is_null(), "{findings}");
    let pieces = records(&file).iter().filter(|record| record.body.message() == "piece").count();
    assert!(pieces >= 8 * 256, "{pieces}");
}

#[test]
fn clients_of_all_kinds_finish_in_one_swarm() {
    let programs = ["aria2c", "transmission-daemon", "qbittorrent-nox", "rtorrent", "libtorrent"];
    if !programs.into_iter().all(is_there) {
        return;
    }
    let Some(alone) = Alone::on_this_machine() else { return };
    let mut scenario =
        "torrent = { size = '2 MiB', piece = '64 KiB' }\nstop = { limit = '150 s' }\n[[peers]]\nrole = 'seed'\nup = '300 kB/s'\n"
            .to_owned();
    for client in ["ours", "aria2", "transmission", "qbittorrent", "rtorrent", "libtorrent"] {
        scenario += &format!(
            "[[peers]]\nname = '{client}'\nclient = '{client}'\nup = '100 kB/s'\ndown = '400 kB/s'\n"
        );
    }
    let folder = scratch_folder();
    let (code, printed, errors) =
        run(folder.path(), &scenario, &["--format", "json", "--record", "net.pcapng"]);
    assert_eq!(code, 0, "{printed}{errors}");
    let object = json(&printed);
    for group in &object["groups"].as_array().expect("groups")[1..] {
        assert_eq!((&group["done"], &group["skipped"]), (&1.into(), &Value::Null), "{group:#}\n{errors}");
        // Each block is in the capture, whatever the client.
        assert_eq!(group["downloaded"], 2 << 20, "{group:#}");
    }
    let spoke = records(&folder.path().join("net.pcapng"));
    let handshakes = spoke
        .iter()
        .filter(|record| record.body.protocol() == Protocol::PeerWire && record.body.message() == "handshake")
        .map(|record| record.source.ip())
        .collect::<std::collections::BTreeSet<_>>();
    assert_eq!(handshakes.len(), 7, "{handshakes:?}");
    alone.assert_nothing_is_left(folder.path());
}

const SLOW: &str = "
torrent = { size = '8 MiB', piece = '64 KiB' }
[[peers]]
role = 'seed'
up = '100 kB/s'
[[peers]]
count = 2
up = '50 kB/s'
";

/// Starts a run, and waits until the client of a host is at work.
#[expect(
    clippy::zombie_processes,
    reason = "who calls waits for it; where the test fails before, it ends with the test"
)]
fn started(folder: &Path, host: &str) -> (Child, i32) {
    let mut command = command_on(folder, SLOW, &["--format", "json"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command starts");
    let began = Instant::now();
    loop {
        let client = processes_of(folder).into_iter().find(|number| {
            let words = fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
            let words: Vec<_> = words.split(|&byte| byte == 0).collect();
            let place = format!("/{host}/content");
            words.get(1) == Some(&&b"download"[..])
                && words.iter().any(|word| String::from_utf8_lossy(word).contains(&place))
        });
        if let Some(client) = client {
            return (child, client);
        }
        assert!(began.elapsed() < Duration::from_secs(60), "no client is at work");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn signal(process: i32, name: &str) {
    let status = Command::new("kill").args([name, &process.to_string()]).status().expect("kill runs");
    assert!(status.success());
}

#[test]
fn an_interrupted_run_tells_what_was_and_leaves_nothing() {
    let Some(alone) = Alone::on_this_machine() else { return };
    let folder = scratch_folder();
    let (child, _) = started(folder.path(), "leecher-1");
    signal(child.id() as i32, "-INT");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130));
    let object = json(&String::from_utf8(output.stdout).expect("text"));
    assert_eq!(object["groups"][1]["done"], 0);
    alone.assert_nothing_is_left(folder.path());
}

#[test]
fn a_run_that_is_killed_leaves_no_process_and_no_network() {
    let Some(alone) = Alone::on_this_machine() else { return };
    let folder = scratch_folder();
    let (mut child, _) = started(folder.path(), "leecher-1");
    signal(child.id() as i32, "-KILL");
    child.wait().expect("it ends");
    let began = Instant::now();
    while !processes_of(folder.path()).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", processes_of(folder.path()));
        std::thread::sleep(Duration::from_millis(50));
    }
    // Nobody is left who could remove the files.
    fs::remove_dir_all(folder.path().join("tmp")).expect("files");
    fs::create_dir(folder.path().join("tmp")).expect("a folder");
    alone.assert_nothing_is_left(folder.path());
}

#[test]
fn a_client_that_crashes_is_told_and_the_others_go_on() {
    let Some(alone) = Alone::on_this_machine() else { return };
    let folder = scratch_folder();
    let (child, client) = started(folder.path(), "leecher-2");
    signal(client, "-KILL");
    // The rest takes a minute: the other leecher is seen to go on, and then the run is over.
    std::thread::sleep(Duration::from_secs(3));
    assert!(processes_of(folder.path()).len() > 3, "the others have ended");
    signal(child.id() as i32, "-INT");
    let output = child.wait_with_output().expect("it ends");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("leecher-2: ours ended with "), "{errors}");
    let object = json(&String::from_utf8_lossy(&output.stdout));
    assert!(object["hosts"][2]["failure"].as_str().is_some_and(|said| said.starts_with("ours ended")));
    assert_eq!(object["hosts"][1]["failure"], Value::Null);
    assert!(object["hosts"][1]["downloaded"].as_u64() > Some(0), "{object:#}");
    alone.assert_nothing_is_left(folder.path());
}

const QUICK: &str = "
torrent = { size = '1 MiB', piece = '64 KiB' }
[[peers]]
role = 'seed'
up = '500 kB/s'
[[peers]]
count = 2
up = '200 kB/s'
[[peers]]
name = 'other'
client = 'aria2'
";

/// Whether this system has addresses of its own beside 127.0.0.1.
fn has_loopback_addresses() -> bool {
    std::net::TcpListener::bind("127.77.0.1:0").is_ok() || skip("this system has no address 127.77.0.1")
}

#[test]
fn without_links_and_programs_times_are_told_and_absent_clients_skipped() {
    if !has_loopback_addresses() {
        return;
    }
    let folder = scratch_folder();
    let reordered = QUICK.replacen("[[peers]]", "[link]\nreorder = 0.1\n[[peers]]", 1);
    let mut command = command_on(folder.path(), &reordered, &["--loopback"]);
    command.env("PATH", folder.path());
    let (code, printed, errors) = command::run(&mut command);
    assert_eq!(code, 0, "{printed}{errors}");
    assert!(errors.contains("other is skipped: aria2c is not installed"), "{errors}");
    assert!(printed.contains("other is skipped: aria2c is not installed."), "{printed}");
    let words = printed.split_whitespace().collect::<Vec<_>>().join(" ");
    let left_out = "link.reorder and link.duplicate are of datagrams in simulations alone";
    assert!(words.contains(left_out), "{printed}");
    assert!(words.contains("neither dumpcap nor tcpdump is installed"), "{printed}");
    assert!(printed.contains("leecher  ours") && !printed.contains("Given and taken"), "{printed}");
    let (code, _, errors) = {
        let mut command = command_on(folder.path(), QUICK, &["--loopback", "--record", "net.pcapng"]);
        command.env("PATH", folder.path());
        command::run(&mut command)
    };
    assert_eq!(code, 2);
    assert!(errors.ends_with("bittrace: neither dumpcap nor tcpdump is installed\n"), "{errors}");
    assert!(!folder.path().join("net.pcapng").exists());
}

#[test]
fn what_real_clients_cannot_do_is_refused() {
    let refused = |scenario: &str, arguments: &[&str], said: &str| {
        let folder = scratch_folder();
        let (code, printed, errors) = run(folder.path(), scenario, arguments);
        assert_eq!((code, &*printed), (2, ""), "{errors}");
        assert_eq!(errors, format!("bittrace: {said}\n"));
    };
    refused(
        "[[peers]]\nname = 'rider'\nbehaviour = 'free-rider'",
        &["--loopback"],
        "peers rider: real clients have no such behaviour: lab sim has",
    );
    refused(
        "[[peers]]\nclient = 'aria2'\nbehaviour = 'like a.pcap'",
        &["--loopback"],
        "peers leecher: aria2 cannot behave like another client: only client = \"ours\" can",
    );
    refused(
        "[[peers]]\n[[events]]\nat = '5 s'\ndo = 'cut up of leecher to 5 kB/s'",
        &["--loopback"],
        "events: links cannot be cut with --loopback",
    );
    refused(
        "[[peers]]\ncount = 201",
        &[],
        "a scenario of real clients has 200 hosts at the most: this one has 201",
    );
}

#[test]
fn a_simulation_says_that_it_has_no_other_clients() {
    let folder = scratch_folder();
    fs::write(folder.path().join("swarm.toml"), QUICK).expect("a scenario");
    let mut command = command::bittrace(BITTRACE, folder.path(), &["lab", "sim", "swarm.toml"]);
    let (code, _, errors) = command::run(&mut command);
    assert_eq!(
        (code, &*errors),
        (0, "bittrace: other: bittrace is simulated in place of aria2: lab real starts it\n")
    );
}
