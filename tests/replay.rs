//! `bittrace replay`, `profile`, `download --like` and `--against` as a user runs them: captures played to bittrace, and to
//! real clients on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test ends at its first fault, and says what it skips"
)]

#[path = "replay/clients.rs"]
mod clients;
#[path = "replay/ending.rs"]
mod ending;

use std::path::Path;
use std::process::{Command, Stdio};

use bittrace_testing::assert_printed;
use bittrace_testing::captures::captures_folder;
use bittrace_testing::command;
use bittrace_testing::programs::{has_path, is_there};

use clients::{ARIA2, completes};

/// The captures of downloads, by the client that downloads, or by what else they show.
const REFERENCES: [(&str, &str); 6] = [
    ("aria2", "download-aria2.pcap"),
    ("qbittorrent", "download-qbittorrent.pcapng"),
    ("rtorrent", "download-rtorrent.pcap"),
    ("transmission", "download-transmission.pcap"),
    ("udp-tracker", "udp-tracker.pcap"),
    ("ctorrent", "download-ctorrent.pcap"),
];

/// The captures of seeders, by the client that seeds.
const SEEDING: [(&str, &str); 2] =
    [("aria2", "seeding-aria2.pcap"), ("transmission", "seeding-transmission.pcap")];

const BITTRACE: &str = env!("CARGO_BIN_EXE_bittrace");

/// The exit code, standard output and standard error.
fn run_in(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    command::run(&mut command::bittrace(BITTRACE, folder, arguments))
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    run_in(&captures_folder(), arguments)
}

fn capture(name: &str) -> String {
    captures_folder().join(name).display().to_string()
}

/// The last object of NDJSON, which is the summary.
fn summary(printed: &str) -> serde_json::Value {
    let last = printed.lines().last().expect("something is printed");
    let object: serde_json::Value = serde_json::from_str(last).expect("the last line is an object");
    object["summary"].clone()
}

/// Every message has its counterpart, which is the same.
#[track_caller]
fn assert_all_the_same(printed: &str) {
    let of_all = summary(printed);
    let (coverage, fidelity) = (of_all["coverage"].as_f64(), of_all["fidelity"].as_f64());
    assert_eq!((coverage, fidelity), (Some(1.0), Some(1.0)), "{of_all}");
}

#[test]
fn bittrace_says_what_each_client_said_without_a_mask() {
    for (client, name) in REFERENCES {
        let (code, printed, errors) = run(&["replay", name]);
        assert_eq!(errors, "", "{client}");
        assert!(code < 2, "{client}: {code}");
        assert_printed!("replay", format!("rehearsal-{client}"), printed);
        let (_, printed, _) = run(&["replay", name, "--no-mask", "--side", "local", "--format", "json"]);
        let summary = summary(&printed);
        assert_eq!(
            (summary["coverage"].as_f64(), summary["fidelity"].as_f64()),
            (Some(1.0), Some(1.0)),
            "{client}: {summary}"
        );
        assert_eq!(summary["masks"].as_object().map(serde_json::Map::len), Some(0), "{client}");
    }
}

#[test]
fn a_rehearsal_is_the_same_every_time() {
    let folder = tempfile::tempdir().unwrap();
    for (client, name) in REFERENCES {
        let recorded = ["one.pcapng", "two.pcapng"].map(|file| {
            let (code, ..) = run_in(folder.path(), &["replay", &capture(name), "--record", file, "-q"]);
            assert!(code < 2, "{client}");
            std::fs::read(folder.path().join(file)).unwrap()
        });
        assert!(recorded[0] == recorded[1], "{client}");
    }
}

/// What bittrace says of a capture that it reads from standard input.
fn from_standard_input(arguments: &[&str], name: &str) -> (i32, String) {
    let file = std::fs::File::open(capture(name)).unwrap();
    let output = Command::new(BITTRACE).args(arguments).stdin(file).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_capture_is_played_and_compared_from_standard_input() {
    let (name, torrent) = (capture("download-aria2.pcap"), capture("download-aria2.torrent"));
    let from_file = |arguments: &[&str]| {
        let (code, printed, _) = run(arguments);
        (code, printed.replace(&*name, "standard input").replace("download-aria2.pcap", "standard input"))
    };
    let (code, printed) =
        from_standard_input(&["replay", "-", "--torrent", &torrent, "-q"], "download-aria2.pcap");
    assert_eq!((code, printed), from_file(&["replay", &name, "-q"]));
    for arguments in [["diff", &name, "-"], ["diff", "-", &name]] {
        let (code, printed) = from_standard_input(&arguments, "download-aria2.pcap");
        assert!(code == 0 && printed.contains("The same: 35 local messages"), "{arguments:?}: {printed}");
    }
}

#[test]
fn profiles_are_shown() {
    for (client, name) in REFERENCES {
        let (code, printed, errors) = run(&["profile", name]);
        assert_eq!((code, errors.as_str()), (0, ""), "{client}");
        let wide = printed.lines().find(|line| line.chars().count() > 80);
        assert_eq!(wide, None, "{client}: a line is wider than 80 columns");
        assert_printed!("replay", format!("profile-{client}"), printed);
        let (_, json, _) = run(&["profile", name, "--format", "json"]);
        let profile: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(profile["profile"]["block_length"], 16384, "{client}");
        // CTorrent says nothing between its handshake and its interest.
        assert_eq!(profile["shown_in_frame"]["opening"].is_u64(), client != "ctorrent", "{client}");
        // libtorrent's packets, and so qBittorrent's, never have both requests and haves: nothing of ours stands in for their order.
        let unseen = ["qbittorrent", "udp-tracker"].contains(&client);
        assert_eq!(profile["profile"]["haves_first"].is_null(), unseen, "{client}");
        assert_eq!(profile["shown_in_frame"]["haves_first"].is_null(), unseen, "{client}");
    }
}

/// Ports of this run, by their places; each has five digits, as the system draws them.
fn redacted(printed: &str) -> String {
    let mut out = String::new();
    let mut rest = printed;
    while let Some(at) = rest.find("127.0.0.") {
        let (before, address) = rest.split_at(at);
        out.push_str(before);
        let end = address.find(|c: char| !c.is_ascii_digit() && !".:".contains(c)).unwrap_or(address.len());
        let (address, behind) = address.split_at(end);
        match address.split_once(':') {
            Some((ip, port)) if port.len() == 5 => out.push_str(&format!("{ip}:[prt]")),
            _ => out.push_str(address),
        }
        rest = behind;
    }
    out + rest
}

/// A download by bittrace in the manner of a capture's client, from that capture's far ends on loopback.
/// The page without the intervals, which no two runs share: their rows end after the number of pairs.
fn without_times(page: &str) -> String {
    let mut out = String::new();
    let mut among = false;
    for line in page.lines() {
        among = if among { !line.is_empty() } else { line == "Intervals" };
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [message, pairs, .., "µs" | "ms" | "s"] if among => {
                out.push_str(&format!("  {message} {pairs} [times]\n"))
            }
            _ => out.push_str(&format!("{line}\n")),
        }
    }
    out
}

fn live(name: &str, more: &[&str]) -> (i32, String, String) {
    let download = ["--", BITTRACE, "download", "--like", name, "-o", "{dir}", "--port", "{port}"];
    let download = [&download[..], &["--listen", "127.0.0.1", "-q", "{torrent}"]].concat();
    run(&[&["replay", name][..], more, &download].concat())
}

#[test]
fn a_live_download_in_the_manner_of_each_client_differs_in_bound_fields_alone() {
    for (client, name) in REFERENCES {
        let (code, printed, errors) = live(name, &[]);
        assert!(code < 2, "{client}: {errors}");
        assert_printed!("replay", format!("live-{client}"), without_times(&redacted(&printed)));
        let (_, printed, _) = live(name, &["--format", "json"]);
        let summary = summary(&printed);
        assert_eq!(
            (summary["coverage"].as_f64(), summary["fidelity"].as_f64()),
            (Some(1.0), Some(1.0)),
            "{client}: {summary}"
        );
        let rules = summary["masks"].to_string();
        assert!(!rules.contains("ignore"), "{client}: {rules}");
    }
}

#[test]
fn a_download_is_compared_with_a_capture_when_it_is_over() {
    if !has_path("/bin/sh") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let capture = capture("download-transmission.pcap");
    let download = ["--", BITTRACE, "download", "--like", &capture, "--against", &capture, "-o", "{dir}"];
    let download = [&download[..], &["--port", "{port}", "--listen", "127.0.0.1", "{torrent}"]].concat();
    let log = folder.path().join("log");
    // The replay shows what its client wrote only when it fails; here the client writes into a file.
    let shell = format!("exec \"$0\" \"$@\" > '{}'", log.display());
    let mut arguments = vec!["replay", &capture, "-q", "--", "/bin/sh", "-c", &shell];
    arguments.extend(&download[1..]);
    let (code, ..) = run_in(folder.path(), &arguments);
    assert!(code < 2);
    let told = std::fs::read_to_string(&log).unwrap();
    assert!(told.contains("complete: every piece is verified"), "{told}");
    assert!(told.contains("Local messages") && told.contains("coverage 100 %, fidelity 100 %"), "{told}");
}

/// A profile holds policy, never bytes: with another torrent the same client says other bytes.
#[test]
fn another_torrent_and_peer_id_change_what_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let reference = capture("download-transmission.pcap");
    let other = capture("http-tracker-single-peer.pcap");
    let like = ["--", BITTRACE, "download", "--like", &reference, "-o", "{dir}", "--port", "{port}"];
    let like = [&like[..], &["--listen", "127.0.0.1", "-q", "{torrent}"]].concat();
    let arguments = [&["replay", &other, "--record", "run.pcapng", "-q"][..], &like].concat();
    let (code, _, errors) = run_in(folder.path(), &arguments);
    assert!(code < 2, "{errors}");
    let recording = folder.path().join("run.pcapng").display().to_string();
    let (_, printed, _) =
        run(&["diff", &reference, &recording, "--format", "json", "--only", "announce-request,handshake"]);
    let differing: Vec<serde_json::Value> = printed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|pair: &serde_json::Value| pair["verdict"] == "differs")
        .collect();
    let names: Vec<&str> = differing
        .iter()
        .flat_map(|pair| pair["fields"].as_array().unwrap())
        .filter(|field| field["rule"].is_null() || field["rule"] == "exact")
        .filter_map(|field| field["name"].as_str())
        .collect();
    assert!(names.contains(&"info_hash") && names.contains(&"left"), "{names:?}");
    // And nothing of the phrasing: not the parameters, the headers, the reserved bits.
    let phrasing = ["numwant", "compact", "supportcrypto", "headers.User-Agent", "reserved"];
    assert!(!phrasing.iter().any(|name| names.contains(name)), "{names:?}");
}

#[test]
fn mistakes_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let lonely = folder.path().join("lonely.pcap");
    std::fs::copy(captures_folder().join("download-aria2.pcap"), &lonely).unwrap();
    let lonely = lonely.display().to_string();
    for (arguments, wanted) in [
        (&["replay", "no-such.pcap"][..], "no-such.pcap: no such file"),
        (
            &["replay", &lonely],
            "no .torrent file of the same name beside it, and its peers did not send the metadata",
        ),
        (&["replay", "download-aria2.pcap", "--torrent", "dht-get-peers.torrent"], "is about torrent"),
        (&["replay", "not-bittorrent.pcapng", "--torrent", "download-aria2.torrent"], "has no announce"),
        (&["replay", "download-aria2.pcap", "--disturb", "drop"], "--disturb needs a client"),
        (
            &["replay", "download-aria2.pcap", "--disturb", "dance", "--", "x"],
            "unknown disturbance \"dance\"; there are all, split=bytes",
        ),
        (
            &["replay", "download-aria2.pcap", "--disturb", "lose", "--", "x"],
            "download-aria2.pcap has no tracker over UDP, so there is no response to lose",
        ),
        (&["replay", "download-aria2.pcap", "--mask", "x"], "--mask"),
        (&["replay", "download-aria2.pcap", "--listen", "nowhere"], "\"nowhere\" is not an address"),
        (&["replay", "download-aria2.pcap", "--", "/no/such/client"], "/no/such/client: cannot be started: "),
        (&["replay", "download-aria2.pcap", "--listen", "192.0.2.1"], "give --listen another address"),
        (&["replay", "download-aria2.pcap", "--content", "README.md"], "no piece of the torrent is there"),
        (
            &["replay", "download-aria2.pcap", "--listen", "127.0.0.1"],
            "the client needs an address of its own",
        ),
        (
            &["replay", "download-aria2.pcap", "--record", "download-aria2.pcap"],
            "this is the capture and would be overwritten",
        ),
        (&["replay", "download-aria2.pcap", "--only", "handshak"], "did you mean handshake"),
        (
            &["replay", "download-aria2.pcap", "--only", "hashes"],
            "no message of either capture matches --only",
        ),
        (
            &["diff", "download-aria2.pcap", "download-aria2.pcap", "--streams", "77"],
            "the reference has no stream 77; it has",
        ),
        (&["replay", "-"], "give the torrent with --torrent"),
        (
            &["replay", "diagnosis"],
            "diagnosis: a directory, and replay plays one capture file: name one of those in it, such as",
        ),
        (&["profile", "not-bittorrent.pcapng"], "has no announce"),
    ] {
        let (code, printed, errors) = run(arguments);
        assert_eq!(code, 2, "{arguments:?}: {printed}{errors}");
        assert!(errors.contains(wanted), "{arguments:?}: {errors}");
    }
}

#[test]
fn what_is_no_file_is_named_with_what_to_do() {
    for (path, wanted) in [
        ("/dev/null", "/dev/null: a device, not a capture file: name a pcap or pcapng file"),
        ("/dev/stdin", "/dev/stdin: a pipe, which cannot be read twice: give the torrent with --torrent"),
    ] {
        if !has_path(path) {
            continue;
        }
        let mut replay = command::bittrace(BITTRACE, &captures_folder(), &["replay", path]);
        let replay =
            replay.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = replay.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{path}: {errors}");
        assert!(errors.contains(wanted), "{path}: {errors}");
    }
}

#[test]
fn bittrace_gets_over_every_disturbance() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture("download-transmission.pcap");
    let what = ["split", "split=boundaries", "delay=5", "reorder", "drop=9", "duplicate=3", "unknown=200"];
    let disturb: Vec<&str> = what.iter().flat_map(|what| ["--disturb", what]).collect();
    let client =
        ["--", BITTRACE, "download", "-o", "{dir}", "--port", "{port}", "--listen", "127.0.0.1", "{torrent}"];
    let arguments = [&["replay", &capture, "--format", "json"][..], &disturb, &client].concat();
    let (code, printed, errors) = run_in(folder.path(), &arguments);
    for line in printed.lines() {
        let verdict: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((&verdict["completed"], &verdict["happened"]), (&true.into(), &true.into()), "{verdict}");
    }
    let names: Vec<String> = printed
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["name"].as_str().unwrap().to_owned()
        })
        .collect();
    // The first run is undisturbed.
    assert_eq!(
        (code, names.len(), names[0].as_str()),
        (0, what.len() + 1, "undisturbed"),
        "{printed}{errors}"
    );
}

/// The reference's client had a magnet link: the far ends give the metadata to whoever asks, in the client's order.
#[test]
fn a_reference_that_began_with_a_magnet_link_is_played() {
    let (code, printed, errors) = run(&["replay", "magnet-metadata-pex.pcap"]);
    assert!(code < 2 && errors.is_empty(), "{code}: {errors}");
    assert_printed!("replay", "rehearsal-magnet", printed);
    if is_there("aria2c") {
        let [words @ .., _] = ARIA2 else { panic!("no words") };
        completes("magnet-metadata-pex.pcap", &[words, &["{magnet}"]].concat(), &[]);
    }
}

#[test]
fn bittrace_seeds_in_the_manner_of_each_client() {
    for (client, name) in SEEDING {
        let (code, printed, errors) = run(&["replay", name]);
        assert!(code < 2, "{client}: {errors}");
        assert_printed!("replay", format!("rehearsal-seeding-{client}"), printed);
        let seed = ["--", BITTRACE, "download", "--like", name, "-o", "{dir}", "--port", "{port}", "--seed"];
        let seed = [&seed[..], &["--listen", "127.0.0.1", "-q", "{torrent}"]].concat();
        // The disk decides in which order blocks are sent whose requests wait together.
        let only = ["--only", "announce-request,handshake,extended,bitfield,have-all,allowed-fast,unchoke"];
        let (code, printed, errors) = run(&[&["replay", name][..], &only, &seed].concat());
        assert!(code < 2, "{client}: {errors}");
        // How the bytes were cut into packets is the system's affair.
        let is_packet = |line: &str| line.trim_start().starts_with("(packet ");
        let shown: Vec<&str> =
            printed.lines().map(|line| if is_packet(line) { "    (packet)" } else { line }).collect();
        let shown = without_times(&redacted(&shown.join("\n")));
        assert_printed!("replay", format!("live-seeding-{client}"), shown);
        let pieces = ["--side", "local", "--only", "piece", "--format", "json"];
        let (_, printed, _) = run(&[&["replay", name][..], &pieces, &seed].concat());
        assert_all_the_same(&printed);
    }
}

/// The messages of a recording that cannot be read.
fn opaque_rows(recording: &Path) -> String {
    let recording = recording.display().to_string();
    let (code, printed, errors) =
        run(&["analyze", &recording, "--format", "json", "--filter", "message == \"encrypted\""]);
    assert!(code < 2, "{errors}");
    printed.lines().filter(|line| line.contains("\"message\":")).collect()
}

#[test]
fn an_encrypted_reference_is_played_encrypted_and_its_recording_has_the_keys() {
    let name = "mse-rc4-keyed.pcapng";
    let folder = tempfile::tempdir().unwrap();
    let (code, printed, errors) =
        run_in(folder.path(), &["replay", &capture(name), "--record", "run.pcapng", "--format", "json"]);
    assert!(code < 2 && errors.is_empty(), "{errors}");
    assert_all_the_same(&printed);
    assert_eq!(opaque_rows(&folder.path().join("run.pcapng")), "");
    assert_printed!("replay", "rehearsal-mse-rc4", run(&["replay", name]).1);
    let recording = folder.path().join("live.pcapng").display().to_string();
    let (code, printed, errors) = live(name, &["--record", &recording]);
    assert!(code < 2, "{errors}");
    let printed = printed.replace(&recording, "live.pcapng");
    assert_printed!("replay", "live-mse-rc4", without_times(&redacted(&printed)));
    assert_eq!(opaque_rows(Path::new(&recording)), "");
    let (_, printed, _) = live(name, &["--format", "json"]);
    assert_all_the_same(&printed);
}

#[test]
fn a_reference_whose_keys_are_not_known_is_played_in_clear_and_says_so() {
    let (code, printed, errors) = run(&["replay", "mse-rc4.pcap", "--format", "json"]);
    assert!(code < 2, "{errors}");
    assert!(printed.contains("is encrypted in the reference, and its key is not known"), "{printed}");
}

/// What carried the messages of this name in a recording, each once.
fn carriers(recording: &Path, message: &str) -> Vec<String> {
    let (recording, filter) = (recording.display().to_string(), format!("message == \"{message}\""));
    let (code, printed, errors) = run(&["analyze", &recording, "--format", "json", "--filter", &filter]);
    assert!(code < 2, "{errors}");
    let lines = printed.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let mut carriers: Vec<String> =
        lines.filter_map(|line| line["transport"].as_str().map(str::to_owned)).collect();
    carriers.sort();
    carriers.dedup();
    carriers
}

/// No packet of a recording has a handshake and something else.
fn assert_handshakes_alone(recording: &Path) {
    let recording = recording.display().to_string();
    let filter = "protocol == \"peer-wire\"";
    let (code, printed, errors) = run(&["analyze", &recording, "--format", "json", "--filter", filter]);
    assert!(code < 2, "{errors}");
    let lines = printed.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let (handshakes, others): (Vec<_>, Vec<_>) =
        lines.filter(|line| line["frames"].is_array()).partition(|line| line["message"] == "handshake");
    assert_eq!(handshakes.len(), 2, "{printed}");
    assert!(others.iter().any(|line| line["message"] == "extended"), "{printed}");
    for handshake in &handshakes {
        let shares = |other: &&serde_json::Value| other["frames"] == handshake["frames"];
        assert_eq!(others.iter().find(shares), None, "{handshake}");
    }
}

#[test]
fn a_reference_over_utp_is_played_over_utp_and_its_streams_are_compared() {
    let name = "utp-download.pcap";
    let folder = tempfile::tempdir().unwrap();
    let recorded = ["one.pcapng", "two.pcapng"].map(|file| {
        let (code, printed, errors) =
            run_in(folder.path(), &["replay", &capture(name), "--record", file, "--format", "json"]);
        assert!(code < 2 && errors.is_empty(), "{errors}");
        assert_all_the_same(&printed);
        std::fs::read(folder.path().join(file)).unwrap()
    });
    assert!(recorded[0] == recorded[1]);
    assert_eq!(carriers(&folder.path().join("one.pcapng"), "piece"), ["utp"]);
    assert_printed!("replay", "rehearsal-utp", run(&["replay", name]).1);
    // bittrace dials over uTP where the client of the capture did.
    let recording = folder.path().join("live.pcapng");
    let (code, printed, errors) = live(name, &["--record", &recording.display().to_string()]);
    assert!(code < 2, "{errors}");
    let shown = printed.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(shown.contains("(0 of them sent again) in the reference, 1 connection of "), "{shown}");
    assert_eq!(carriers(&recording, "piece"), ["utp"]);
    let (_, printed, _) = live(name, &["--format", "json"]);
    assert_all_the_same(&printed);
}

#[test]
fn a_torrent_of_version_2_alone_is_played() {
    let name = "v2-download.pcapng";
    let (code, printed, errors) = run(&["replay", name]);
    assert!(code < 2, "{code}: {errors}");
    assert_printed!("replay", "rehearsal-v2", printed);
    assert_all_the_same(&run(&["replay", name, "--format", "json"]).1);
    let (code, printed, errors) = live(name, &["--format", "json"]);
    assert!(code < 2, "{errors}");
    assert_all_the_same(&printed);
    // A client that asks for no zeros is right as well, and that is said.
    let client = ["--", BITTRACE, "download", "-o", "{dir}", "--port", "{port}", "--listen", "127.0.0.1"];
    let (code, printed, errors) =
        run(&[&["replay", name, "--format", "json"][..], &client, &["-q", "{torrent}"]].concat());
    assert!(code < 2, "{errors}");
    let remarks = summary(&printed)["remarks"].to_string();
    assert!(remarks.contains("requests the zeros after the end of a file too (1 request)"), "{remarks}");
}

/// The client of the reference has a link and a node of the DHT, which names the peer.
#[test]
fn a_reference_with_nodes_of_the_dht_is_played() {
    let name = "dht-get-peers.pcap";
    let folder = tempfile::tempdir().unwrap();
    let recorded = ["one.pcapng", "two.pcapng"].map(|file| {
        let (code, printed, errors) =
            run_in(folder.path(), &["replay", &capture(name), "--record", file, "--format", "json"]);
        assert!(code < 2 && errors.is_empty(), "{errors}");
        let summary = summary(&printed);
        assert_eq!(summary["refusals"], serde_json::json!([]), "{summary}");
        std::fs::read(folder.path().join(file)).unwrap()
    });
    assert!(recorded[0] == recorded[1]);
    assert_printed!("replay", "rehearsal-dht", run(&["replay", name]).1);
    assert_eq!(carriers(&folder.path().join("one.pcapng"), "get_peers-response"), ["udp"]);
    let (code, _, errors) = run(&["replay", "download-aria2.pcap", "--", BITTRACE, "{dht}"]);
    assert_eq!(code, 2);
    assert!(errors.contains("{dht}: the client of download-aria2.pcap asked no node of the DHT"), "{errors}");
}

/// A response repeats the id of the transaction, which may be as long as a datagram.
#[cfg(target_os = "linux")]
#[test]
fn a_query_whose_response_no_datagram_holds_is_recorded_and_gets_none() {
    if !is_there("python3") {
        return;
    }
    let script = r#"
import socket, sys
host, port = sys.argv[1].rsplit(":", 1)
node = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
node.settimeout(5)
target = bytes.fromhex("22fad21260bb8adf425e1e50ea70953c000602d7")
def query(transaction):
    head = b"d1:ad2:id20:abcdefghij01234567899:info_hash20:" + target + b"e1:q9:get_peers1:t"
    return head + b"%d:" % len(transaction) + transaction + b"1:y1:qe"
room = 65507 - len(query(b"x" * 10000)) + 10000
node.sendto(query(b"x" * room), (host, int(port)))
node.sendto(query(b"short"), (host, int(port)))
sys.exit(0 if b"1:t5:short" in node.recv(65536) else 9)
"#;
    let client = ["--", "/usr/bin/env", "python3", "-c", script, "{dht}"];
    let (code, printed, errors) =
        run(&[&["replay", "dht-get-peers.pcap", "--format", "json"][..], &client].concat());
    assert!(code == 1 && !errors.contains("exit status"), "{code}: {errors}");
    let remarks = summary(&printed)["remarks"].to_string();
    assert!(remarks.contains("an answer was not sent that was longer than a datagram can be"), "{remarks}");
}

/// The client of the reference has a link by both hashes, announces by both, and calls its peer by that of version 2.
#[test]
fn a_hybrid_reference_by_the_hash_of_version_2_is_played() {
    let name = "hybrid-v2-hashes.pcap";
    let (code, printed, errors) = run(&["replay", name]);
    assert!(code < 2 && errors.is_empty(), "{code}: {errors}");
    assert_printed!("replay", "rehearsal-hybrid-v2", printed);
    let (_, printed, _) =
        run(&["replay", name, "--no-mask", "--side", "local", "--only", "handshake", "--format", "json"]);
    assert_all_the_same(&printed);
    let (code, printed, errors) = live(name, &["--only", "handshake,request", "--format", "json"]);
    assert!(code < 2, "{errors}");
    assert_all_the_same(&printed);
}

/// A recording of bittrace over uTP is a reference, with the torrent as it was: its tracker is at another address there.
#[test]
fn a_recording_over_utp_is_a_reference() {
    let (name, torrent) = ("utp-download.pcap", capture("utp-download.torrent"));
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("run.pcapng").display().to_string();
    let download =
        ["--", BITTRACE, "download", "-o", "{dir}", "--port", "{port}", "--utp", "require", "--no-dht"];
    let download = [&download[..], &["--listen", "127.0.0.1", "-q", "{torrent}"]].concat();
    let (code, _, errors) = run(&[&["replay", name, "--record", &recording, "-q"][..], &download].concat());
    assert!(code < 2, "{errors}");
    assert_handshakes_alone(Path::new(&recording));
    let (code, printed, errors) =
        run(&["replay", &recording, "--local", "127.0.0.1", "--torrent", &torrent, "--format", "json"]);
    assert!(code < 2, "{errors}");
    assert!(printed.contains("the session asked those of the reference"), "{printed}");
    assert_all_the_same(&printed);
}

/// Seen from the seeder, the recorded peer is the one that connects.
#[test]
fn a_recorded_peer_calls_over_utp() {
    let name = "utp-download.pcap";
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("run.pcapng").display().to_string();
    let seeder = ["replay", name, "--local", "10.77.0.2", "--record", &recording, "--format", "json"];
    let download =
        ["--", BITTRACE, "download", "-o", "{dir}", "--port", "{port}", "--seed", "--utp", "require"];
    let download = [&download[..], &["--listen", "127.0.0.1", "-q", "{torrent}"]].concat();
    for client in [&[][..], &download] {
        let (code, printed, errors) = run(&[&seeder[..], client].concat());
        assert!(code < 2, "{errors}");
        let pieces = &summary(&printed)["sides"]["local"]["piece"]["verdicts"];
        let given = pieces["same"].as_u64().unwrap_or(0) + pieces["moved"].as_u64().unwrap_or(0);
        assert_eq!(given, 10, "{client:?}: {printed}");
        assert_eq!(carriers(Path::new(&recording), "piece"), ["utp"], "{client:?}");
        assert_handshakes_alone(Path::new(&recording));
    }
}

#[test]
fn what_a_seeder_lacks_is_named_before_it_starts() {
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.pcap");
    // The last blocks are beyond the cut.
    let bytes = std::fs::read(capture("seeding-transmission.pcap")).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let (cut, torrent) = (cut.display().to_string(), capture("seeding-transmission.torrent"));
    for client in [&[][..], &["--", "/no/such/client"]] {
        let (code, _, errors) = run(&[&["replay", &cut, "--torrent", &torrent][..], client].concat());
        assert_eq!(code, 2, "{errors}");
        assert!(errors.contains("the client is to seed, and the capture lacks pieces 0, "), "{errors}");
        assert!(errors.contains("give the torrent's files with --content"), "{errors}");
    }
    let (code, _, errors) = run(&["replay", "seeding-aria2.pcap", "--disturb", "split", "--", "x"]);
    assert!(code == 2 && errors.contains("only --role downloader has them"), "{errors}");
}

#[test]
fn a_request_is_sent_again_when_the_response_of_a_tracker_over_udp_is_lost() {
    let client =
        ["--", BITTRACE, "download", "-o", "{dir}", "--port", "{port}", "--listen", "127.0.0.1", "{torrent}"];
    let arguments = ["replay", "udp-tracker.pcap", "--disturb", "lose=2", "--format", "json"];
    let (code, printed, errors) = run(&[&arguments[..], &client].concat());
    let verdicts: Vec<serde_json::Value> =
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = |verdict: &serde_json::Value| {
        (verdict["name"].clone(), verdict["completed"].clone(), verdict["happened"].clone())
    };
    assert_eq!(
        verdicts.iter().map(told).collect::<Vec<_>>(),
        [("undisturbed".into(), true.into(), true.into()), ("lose=2".into(), true.into(), true.into())],
        "{errors}"
    );
    assert_eq!(code, 0, "{errors}");
}
