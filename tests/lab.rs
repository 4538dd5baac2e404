//! `bittrace lab` as a user runs it, and its captures as others read them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;

use bittrace_client::{Download, DownloadOptions, Notice};
use bittrace_lab::{Content, Scenario, World, WorldOptions};
use bittrace_protocol::session::{Config, Identity, Profile, SeedGoal};
use bittrace_protocol::{Metainfo, Timestamp};
use bittrace_testing::captures::records;
use bittrace_testing::command::{self, scratch_folder};
use bittrace_testing::programs::is_there;
use bittrace_testing::tracker::ScriptedTracker;
use bittrace_testing::tshark;
use bittrace_trace::{Body, Direction, Protocol, Record, Severity, Trace, TraceOptions, Transport};
use serde_json::Value;

const BITTRACE: &str = env!("CARGO_BIN_EXE_bittrace");

const SWARM: &str = "
torrent = { size = '1 MiB', piece = '64 KiB' }
[[peers]]
role = 'seed'
up = '100 kB/s'
[[peers]]
count = 4
up = '50 kB/s'
down = '200 kB/s'
rtt = '20..120 ms'
";

fn bittrace(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    command::run(&mut command::bittrace(BITTRACE, folder, arguments))
}

/// A folder with a scenario in it, run with these arguments.
fn simulated(scenario: &str, arguments: &[&str]) -> (tempfile::TempDir, String) {
    let folder = scratch_folder();
    std::fs::write(folder.path().join("swarm.toml"), scenario).expect("a scenario");
    let all = [&["lab", "sim", "swarm.toml"], arguments].concat();
    let (code, printed, errors) = bittrace(folder.path(), &all);
    assert_eq!(code, 0, "{printed}{errors}");
    (folder, printed)
}

fn messages(records: &[Record]) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for record in records.iter().filter(|record| record.body.protocol() == Protocol::PeerWire) {
        *counts.entry(record.body.message()).or_default() += 1;
    }
    counts
}

#[test]
fn a_scenario_gives_a_summary_a_capture_and_a_torrent() {
    let arguments = ["--record", "net.pcapng", "--write-torrent", "net.torrent"];
    let (folder, printed) = simulated(SWARM, &arguments);
    assert!(printed.contains("leecher") && printed.contains("bound of Kumar and Ross"), "{printed}");
    let analyze = ["analyze", "net.pcapng", "--torrent", "net.torrent", "--format", "json"];
    let (code, read, errors) = bittrace(folder.path(), &analyze);
    assert_eq!((code, &*errors), (0, ""));
    let summary: Value = serde_json::from_str(read.lines().last().expect("a summary")).expect("JSON");
    let findings = summary["findings"].as_array().cloned().unwrap_or_default();
    let severe =
        findings.iter().filter(|finding| finding["severity"] == "error" || finding["severity"] == "warn");
    assert_eq!(severe.count(), 0, "{findings:#?}");
    let mut trace =
        Trace::open(&folder.path().join("net.pcapng"), TraceOptions::default()).expect("a capture");
    while trace.next().expect("packets").is_some() {}
    let names: Vec<String> = trace.capture().hosts().iter().flat_map(|host| host.names.clone()).collect();
    assert_eq!(names, ["tracker", "seed-1", "leecher-1", "leecher-2", "leecher-3", "leecher-4"]);
}

#[test]
fn json_has_a_row_for_each_host_and_the_seed_of_chance_counts() {
    let (_folder, printed) = simulated(SWARM, &["--format", "json"]);
    let object: Value = serde_json::from_str(&printed).expect("JSON");
    let hosts = object["hosts"].as_array().expect("hosts");
    assert_eq!(hosts.len(), 5);
    assert!(hosts[1..].iter().all(
        |host| host["done_seconds"].as_f64() > object["bound_seconds"].as_f64().map(|bound| bound / 4.0)
    ));
    assert_eq!(object["groups"][1]["done"], 4);
    assert_eq!(simulated(SWARM, &["--format", "json"]).1, printed);
    assert_ne!(simulated(SWARM, &["--format", "json", "--seed", "2"]).1, printed);
}

#[test]
fn a_capture_without_the_content_of_blocks_has_the_same_messages() {
    let (whole, _) = simulated(SWARM, &["--record", "net.pcapng"]);
    let (cut, _) = simulated(SWARM, &["--record", "net.pcapng", "--snap", "headers"]);
    let size = |folder: &tempfile::TempDir| {
        std::fs::metadata(folder.path().join("net.pcapng")).expect("a capture").len()
    };
    assert!(size(&cut) * 5 < size(&whole), "{} of {}", size(&cut), size(&whole));
    let count = |folder: &tempfile::TempDir| messages(&records(&folder.path().join("net.pcapng")));
    let (mut cut, mut whole) = (count(&cut), count(&whole));
    // The head of a piece message is there, and a gap for its content.
    assert_eq!(cut.remove("opaque"), whole.get("piece").copied());
    assert_eq!(cut.remove("gap"), whole.remove("piece"));
    assert_eq!(cut, whole);
}

#[test]
fn the_capture_of_a_network_has_no_local_host_and_its_hosts_by_name() {
    let many = SWARM.replace("count = 4", "count = 30");
    let (folder, _) = simulated(&many, &["--record", "net.pcapng", "--snap", "headers"]);
    let (code, page, _) = bittrace(folder.path(), &["analyze", "net.pcapng", "--view", "summary"]);
    assert_eq!(code, 0);
    let first_screen: Vec<&str> = page.lines().take(22).collect();
    let says = |text: &str| first_screen.iter().any(|line| line.contains(text));
    assert!(says("no local host;") && says("more lines; -v shows them"), "{page}");
    assert!(
        says("Clients by name and program") && says("  leecher  bittrace") && says("captured only in part"),
        "{page}"
    );
    // Where one host is chosen, it is local.
    let (_, page, _) =
        bittrace(folder.path(), &["analyze", "net.pcapng", "--local", "10.2.1.1", "--view", "summary"]);
    assert!(page.contains("local host 10.2.1.1"), "{page}");
    // Blocks of which the capture has the head alone are blocks: in connections, and in pictures.
    let (_, rates, _) = bittrace(folder.path(), &["analyze", "net.pcapng", "--view", "rates"]);
    assert!(!rates.contains("No blocks"), "{rates}");
}

#[test]
fn a_tracker_over_udp_names_the_same_hosts() {
    let udp = SWARM.replacen("[[peers]]", "[tracker]\nkind = 'udp'\n[[peers]]", 1);
    let (folder, printed) = simulated(&udp, &["--record", "net.pcapng", "--format", "json"]);
    let object: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(object["groups"][1]["done"], 4);
    let all = records(&folder.path().join("net.pcapng"));
    let count = |message: &str| {
        let of_tracker = all.iter().filter(|record| record.body.protocol() == Protocol::UdpTracker);
        of_tracker.filter(|record| record.body.message() == message).count()
    };
    assert!(all.iter().all(|record| record.body.protocol() != Protocol::HttpTracker));
    // Each of five hosts asks for a connection id, and begins; four have all in the end, and the last says so after the end of the run.
    let counts = ["connect-request", "connect-response", "announce-request", "announce-response"].map(count);
    assert_eq!(counts, [5, 5, 8, 8]);
    assert!(all.iter().all(|record| record.notes.iter().all(|note| note.rule.severity < Severity::Warn)));
    let (again, _) = simulated(&udp, &["--record", "net.pcapng"]);
    let capture =
        |folder: &tempfile::TempDir| std::fs::read(folder.path().join("net.pcapng")).expect("a capture");
    assert_eq!(capture(&again), capture(&folder));
    std::fs::write(folder.path().join("https.toml"), "[tracker]\nkind = 'https'\n[[peers]]\n")
        .expect("a scenario");
    let (code, _, errors) = bittrace(folder.path(), &["lab", "sim", "https.toml"]);
    assert_eq!(code, 2);
    let wanted = "https.toml:2: unknown variant `https`, expected one of `http`, `udp`, `none`";
    assert!(errors.contains(wanted), "{errors}");
}

/// The capture of a kept scenario under this seed.
fn capture_of(scenario: &str, seed: &str) -> (tempfile::TempDir, Vec<u8>) {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/lab");
    let text = std::fs::read_to_string(examples.join(scenario)).expect("a scenario");
    let (folder, _) = simulated(&text, &["--record", "net.pcapng", "--seed", seed]);
    let bytes = std::fs::read(folder.path().join("net.pcapng")).expect("a capture");
    (folder, bytes)
}

#[test]
fn uses_of_utp_encryption_and_the_dht_repeat_byte_for_byte_and_are_read_whole() {
    for (scenario, wanted) in [
        ("encrypted.toml", vec![Protocol::Mse, Protocol::PeerWire]),
        ("utp.toml", vec![Protocol::PeerWire]),
        ("no-tracker.toml", vec![Protocol::Dht, Protocol::Lsd, Protocol::PeerWire]),
    ] {
        let (folder, bytes) = capture_of(scenario, "1");
        assert!(capture_of(scenario, "1").1 == bytes, "{scenario} does not repeat");
        assert!(capture_of(scenario, "2").1 != bytes, "{scenario} does not depend on its seed");
        let all = records(&folder.path().join("net.pcapng"));
        for protocol in wanted {
            let count = all.iter().filter(|record| record.body.protocol() == protocol).count();
            assert!(count > 0, "{scenario}: no message of {protocol:?}");
        }
        let carrier = if scenario == "utp.toml" { Transport::Utp } else { Transport::Tcp };
        let peers = all.iter().filter(|record| record.body.protocol() == Protocol::PeerWire);
        assert!(peers.into_iter().all(|record| record.transport == carrier), "{scenario}");
        for record in &all {
            // A connection over uTP may end within a block.
            let is_cut = record.body.protocol() == Protocol::PeerWire
                && !all.iter().any(|other| {
                    (other.stream, other.direction) == (record.stream, record.direction)
                        && other.offset > record.offset
                });
            let message = record.body.message();
            let is_read = message != "gap" && (message != "opaque" || is_cut);
            assert!(is_read, "{scenario}: {record:?}");
            // A request that was written before the choke came waits for the block before it on the same connection.
            let waited = || {
                all.iter().any(|other| {
                    (other.stream, other.direction) == (record.stream, record.direction)
                        && other.body.message() == "piece"
                        && other.frames.last() == record.frames.first()
                })
            };
            let severe = record.notes.iter().find(|note| note.rule.severity >= Severity::Warn);
            let severe = severe.filter(|note| note.rule.id != "bep3.request-while-choked" || !waited());
            assert!(severe.is_none(), "{scenario}: {severe:?} {record:?}");
        }
    }
}

/// Over the wire a packet takes half a round trip: at the link of its receiver it is seen later than it left.
#[test]
fn at_the_link_of_a_host_its_own_traffic_is_seen_as_it_comes_and_goes() {
    // The run lasts until all that left has come.
    let swarm = &format!("{SWARM}[stop]\nwhen = '60 s'\n");
    let (core, _) = simulated(swarm, &["--record", "net.pcapng", "--record-hosts", "leecher-2"]);
    let (edge, _) = simulated(swarm, &["--record", "net.pcapng", "--vantage", "leecher-2"]);
    let read = |folder: &tempfile::TempDir| records(&folder.path().join("net.pcapng"));
    let (core, edge) = (read(&core), read(&edge));
    let own = "10.2.2.1";
    let said = |records: &[Record], by_own: bool| {
        let mut said: Vec<_> = records
            .iter()
            .filter(|record| (record.source.ip().to_string() == own) == by_own)
            .map(|record| (record.source, record.destination, record.bytes.clone(), record.at))
            .collect();
        said.sort();
        said
    };
    assert!(edge.is_sorted_by_key(|record| record.at) && edge.len() == core.len());
    // What it says leaves as the core sees it. What it hears is the same, and later: by at least a fourth of two round trips of
    // 20 ms.
    assert_eq!(said(&core, true), said(&edge, true));
    let (core, edge) = (said(&core, false), said(&edge, false));
    let bytes =
        |said: &[(_, _, bytes::Bytes, Timestamp)]| said.iter().map(|one| one.2.clone()).collect::<Vec<_>>();
    assert_eq!(bytes(&core), bytes(&edge));
    let late = core.iter().zip(&edge).map(|(core, edge)| edge.3.seconds_since(core.3));
    assert!(late.into_iter().all(|late| (0.01..5.0).contains(&late)));
    let folder = scratch_folder();
    std::fs::write(folder.path().join("swarm.toml"), SWARM).expect("a scenario");
    let wrong = ["lab", "sim", "swarm.toml", "--record", "x.pcapng", "--vantage", "leecher"];
    let (code, _, errors) = bittrace(folder.path(), &wrong);
    assert_eq!(code, 2);
    assert!(errors.contains("--vantage leecher: no host has this name"), "{errors}");
}

#[test]
fn only_the_hosts_that_are_named_are_recorded() {
    let (folder, _) = simulated(SWARM, &["--record", "net.pcapng", "--record-hosts", "leecher-2"]);
    let own = "10.2.2.1";
    let all = records(&folder.path().join("net.pcapng"));
    assert!(!all.is_empty());
    assert!(all.iter().all(|record| record.source.ip().to_string() == own || record.destination.ip().to_string() == own));
    let (code, _, errors) = bittrace(
        folder.path(),
        &["lab", "sim", "swarm.toml", "--record", "x.pcapng", "--record-hosts", "leecher-9"],
    );
    assert_eq!((code, &*errors), (2, "bittrace: --record-hosts leecher-9: no host or group has this name\n"));
}

#[test]
fn a_scenario_that_is_wrong_names_its_line() {
    let folder = scratch_folder();
    std::fs::write(folder.path().join("wrong.toml"), "[[peers]]\nupp = '5 kB/s'\n").expect("a scenario");
    let (code, printed, errors) = bittrace(folder.path(), &["lab", "sim", "wrong.toml"]);
    assert_eq!((code, &*printed), (2, ""));
    assert!(errors.starts_with("bittrace: wrong.toml:2: unknown field `upp`"), "{errors}");
}

#[test]
fn what_is_not_a_scenario_is_named_with_what_was_expected() {
    let folder = scratch_folder();
    let capture = bittrace_testing::captures::captures_folder().join("download-aria2.pcap");
    std::fs::copy(capture, folder.path().join("net.pcap")).expect("a capture");
    std::fs::write(folder.path().join("noise"), [0xff, 0, 0x80]).expect("a file");
    std::fs::write(folder.path().join("net.json"), "{\"hosts\": []}\n").expect("a file");
    let said = |file: &str| {
        let (code, printed, errors) = bittrace(folder.path(), &["lab", "sim", file]);
        assert_eq!((code, &*printed), (2, ""), "{errors}");
        errors
    };
    let expected = "a scenario: expected text in TOML with [[peers]], as in examples/lab/one-seed.toml\n";
    assert_eq!(said("noise"), format!("bittrace: noise: not {expected}"));
    assert_eq!(said("."), format!("bittrace: .: a folder and not {expected}"));
    let errors = said("net.pcap");
    assert!(errors.starts_with(&format!("bittrace: net.pcap: not {expected}")), "{errors}");
    assert!(errors.contains("bittrace analyze FILE reads captures"), "{errors}");
    assert!(said("net.json").starts_with(&format!("bittrace: net.json: not {expected}")));
    std::fs::write(folder.path().join("list.json"), "[ {\"hosts\": []}, 1 ]\n").expect("a file");
    assert!(said("list.json").starts_with(&format!("bittrace: list.json: not {expected}")));
    // What is nearly a scenario is told by its line.
    for text in ["[[peers]]\ncount 5\n", "[ torrent ]\nsise = '1 MiB'\n[[peers]]\n", "[ tracker ]\nkind 5\n"]
    {
        std::fs::write(folder.path().join("swarm.toml"), text).expect("a file");
        assert!(said("swarm.toml").starts_with("bittrace: swarm.toml:2: "), "{}", said("swarm.toml"));
    }
}

#[test]
fn tshark_counts_the_same_messages_and_finds_no_fault() {
    if !is_there("tshark") {
        return;
    }
    let (folder, _) = simulated(SWARM, &["--record", "net.pcapng"]);
    let capture = folder.path().join("net.pcapng");
    let ports = ["-d", "tcp.port==6881,bittorrent"];
    let mut ours = messages(&records(&capture));
    ours.remove("keep-alive");
    assert_eq!(tshark::peer_messages(&capture, &ports), ours);
    let faults = "_ws.malformed || tcp.analysis.lost_segment || tcp.analysis.retransmission \
                  || tcp.analysis.out_of_order || tcp.analysis.ack_lost_segment || tcp.analysis.zero_window";
    let faults = tshark::fields_with(&capture, &[&ports[..], &["-Y", faults]].concat(), &["frame.number"]);
    assert_eq!(faults, Vec::<Vec<String>>::new());
}

/// What the ends of the first connection between peers say: the initiator, and the responder.
fn talk(records: &[Record]) -> [Vec<String>; 2] {
    let peers: Vec<&Record> =
        records.iter().filter(|record| record.body.protocol() == Protocol::PeerWire).collect();
    let stream = peers.first().expect("peers talk").stream;
    [Direction::FromInitiator, Direction::FromResponder].map(|direction| {
        let own = peers.iter().filter(|record| record.stream == stream && record.direction == direction);
        own.map(|record| match &record.body {
            // It names ports and addresses.
            Body::PeerWire(_) if record.body.message() == "extended" => "extended".to_owned(),
            _ => format!("{} {:02x?}", record.body.message(), record.bytes),
        })
        .collect()
    })
}

/// Downloads over loopback with the identities of a simulated run: the recording of the leecher.
fn live(content: &Content, size: u64, seed: &Identity, leecher: &Identity) -> Vec<Record> {
    let folder = scratch_folder();
    let (tracker, noted) = ScriptedTracker::naming_later();
    let torrent = torrent_at(content, &tracker.url());
    let bytes: Vec<u8> = (0..torrent.piece_count() as u32)
        .flat_map(|piece| {
            let length =
                (size - u64::from(piece) * u64::from(torrent.piece_length)).min(torrent.piece_length.into());
            content.bytes(piece, 0, length as u32).to_vec()
        })
        .collect();
    let options = |name: &str, identity: &Identity| {
        let profile = Profile::own(concat!("bittrace ", env!("CARGO_PKG_VERSION")));
        let mut config = Config::new(profile);
        config.seeding = Some(SeedGoal::default());
        DownloadOptions {
            listen: vec![Ipv4Addr::LOCALHOST.into()],
            ..DownloadOptions::new(folder.path().join(name), config, identity.clone())
        }
    };
    std::fs::create_dir(folder.path().join("seed")).expect("a folder");
    std::fs::write(folder.path().join("seed/lab.bin"), bytes).expect("the content");
    let serving = Download::new(torrent.clone(), options("seed", seed)).expect("a seed");
    let stop_seed = serving.stop();
    let (listening, listens) = channel();
    let server = std::thread::spawn(move || {
        serving.run_blocking(|notice| {
            if let Notice::Listening { port } = notice {
                let _ = listening.send(port);
            }
        })
    });
    let port = listens.recv().expect("the seed listens");
    noted.lock().expect("no thread panicked").push((Ipv4Addr::LOCALHOST, port).into());
    let record = folder.path().join("live.pcapng");
    let download = Download::new(
        torrent,
        DownloadOptions { record: Some(record.clone()), ..options("leecher", leecher) },
    );
    let download = download.expect("a leecher");
    let stop = download.stop();
    download
        .run_blocking(|notice| {
            if let Notice::FileDone { .. } = notice {
                stop.stop();
            }
        })
        .expect("the download ends");
    stop_seed.stop();
    server.join().expect("no panic").expect("the seed ends");
    records(&record)
}

fn torrent_at(content: &Content, url: &str) -> Arc<Metainfo> {
    let file = String::from_utf8_lossy(&content.torrent).into_owned();
    let old = content.metainfo.announce.clone().expect("a tracker");
    let start = content.torrent.windows(old.len()).position(|part| part == old.as_bytes()).expect("its URL");
    let prefix = format!("{}:", old.len());
    assert!(file[..start].ends_with(&prefix));
    let head = &content.torrent[..start - prefix.len()];
    let torrent =
        [head, format!("{}:{url}", url.len()).as_bytes(), &content.torrent[start + old.len()..]].concat();
    Arc::new(Metainfo::decode(&torrent).expect("a torrent"))
}

#[test]
fn one_leecher_and_one_seed_say_what_real_ones_say() {
    let text = "
        torrent = { size = '200 kB', piece = '64 KiB' }
        [[peers]]
        role = 'seed'
        up = '5 MB/s'
        rtt = '1 ms'
        [[peers]]
        up = '5 MB/s'
        rtt = '1 ms'
    ";
    let (folder, _) = simulated(text, &["--record", "net.pcapng"]);
    let scenario = Scenario::parse(text).expect("a scenario");
    let run = World::new(&scenario, WorldOptions::default()).expect("a world").run().expect("a run");
    let content =
        Content::new(&scenario.torrent, Some("http://10.255.0.1:6969/announce")).expect("a torrent");
    let identity = |host: usize| run.hosts[host].identity.as_ref().expect("a simulated host");
    let real = live(&content, 200_000, identity(0), identity(1));
    let (real, simulated) = (talk(&real), talk(&records(&folder.path().join("net.pcapng"))));
    for (mut real, mut simulated) in real.into_iter().zip(simulated) {
        // Haves and blocks cross on their way: which comes first depends on the time.
        assert!(!real.is_empty());
        let requests = |all: &[String]| {
            all.iter().filter(|line| line.starts_with("request")).cloned().collect::<Vec<_>>()
        };
        assert_eq!(requests(&real), requests(&simulated));
        real.sort();
        simulated.sort();
        assert_eq!(real, simulated);
    }
}

/// The capture and the torrent of a swarm of each version agree: every piece that came is right by them.
#[test]
fn captures_of_each_version_are_read_with_their_torrent() {
    for kind in ["v2", "hybrid"] {
        let text = SWARM.replace("piece = '64 KiB'", &format!("piece = '64 KiB', kind = '{kind}'"));
        let (folder, _) = simulated(&text, &["--record", "net.pcapng", "--write-torrent", "net.torrent"]);
        let torrent = std::fs::read(folder.path().join("net.torrent")).expect("a torrent");
        let torrent = Metainfo::decode(&torrent).expect("a torrent");
        assert_eq!((torrent.info_hash_v2.is_some(), torrent.geometry.is_some()), (true, kind == "hybrid"));
        let analyze = ["analyze", "net.pcapng", "--torrent", "net.torrent", "--format", "json"];
        let (code, printed, errors) = bittrace(folder.path(), &analyze);
        assert_eq!(code, 0, "{kind}: {errors}");
        let summary: Value = serde_json::from_str(printed.lines().last().expect("a summary")).expect("JSON");
        let (findings, torrent) = (&summary["summary"]["findings"], &summary["summary"]["torrents"][0]);
        assert!(findings.is_object() && findings["error"].is_null(), "{kind}: {findings}");
        assert_eq!((&torrent["verified"], &torrent["corrupt"]), (&16.into(), &0.into()), "{kind}: {torrent}");
    }
}

#[test]
fn every_kept_scenario_is_as_it_expects() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/lab");
    let mut names = Vec::new();
    for folder in [examples.clone(), examples.join("hostile")] {
        let entries =
            std::fs::read_dir(&folder).expect("scenarios").map(|entry| entry.expect("an entry").path());
        names.extend(entries.filter(|path| path.is_file()));
    }
    names.sort();
    assert!(names.len() >= 15);
    for path in names {
        let text = std::fs::read_to_string(&path).expect("a scenario");
        assert!(text.contains("[expect]"), "{path:?} expects nothing");
        let (code, printed, errors) = bittrace(&examples, &["lab", "sim", path.to_str().expect("UTF-8")]);
        assert_eq!(code, 0, "{path:?}\n{printed}{errors}");
    }
}

#[test]
fn a_run_that_is_not_as_expected_is_told() {
    let folder = scratch_folder();
    let text = format!("{SWARM}\n[expect]\ndone = '== 1'\nleecher.took = '< 0.9 bound'\n");
    std::fs::write(folder.path().join("swarm.toml"), text).expect("a scenario");
    let (code, printed, _) = bittrace(folder.path(), &["lab", "sim", "swarm.toml"]);
    assert_eq!(code, 1, "{printed}");
    let verdicts: Vec<_> = printed.lines().skip_while(|line| *line != "Expected").skip(2).collect();
    assert!(verdicts[0].contains("holds") && verdicts[0].contains("done"), "{printed}");
    assert!(verdicts[1].contains("fails") && verdicts[1].contains("leecher.took"), "{printed}");
}

#[test]
fn a_host_behaves_as_the_client_of_a_capture() {
    let folder = scratch_folder();
    let capture = bittrace_testing::captures::captures_folder().join("download-aria2.pcap");
    let like = format!("behaviour = 'like {}'", capture.display());
    let text = SWARM.replace("count = 4", &format!("count = 2\n{like}"));
    std::fs::write(folder.path().join("swarm.toml"), text).expect("a scenario");
    let (code, printed, errors) =
        bittrace(folder.path(), &["lab", "sim", "swarm.toml", "--record", "net.pcapng"]);
    assert_eq!(code, 0, "{printed}{errors}");
    let all = records(&folder.path().join("net.pcapng"));
    let aria2 = |record: &&Record| {
        record.source.ip().to_string().starts_with("10.2.")
            && record.bytes.windows(6).any(|part| part == b"aria2/")
    };
    assert!(all.iter().filter(aria2).count() > 0, "leechers call themselves aria2");
}

#[test]
fn figures_have_names_and_scenarios() {
    let folder = scratch_folder();
    let (code, printed, _) = bittrace(folder.path(), &["lab", "figures", "rarest-first", "--scenarios"]);
    assert_eq!(code, 0);
    assert!(printed.contains("picker = 'random'"), "{printed}");
    let (code, _, errors) = bittrace(folder.path(), &["lab", "figures", "figure-9"]);
    assert_eq!(code, 2);
    assert!(errors.starts_with("bittrace: figures: unknown name \"figure-9\""), "{errors}");
}
