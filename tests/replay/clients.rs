//! Captures played to real clients on loopback.

use bittrace_testing::captures::captures_folder;
use bittrace_testing::programs::is_there;

use tempfile::TempDir;

use crate::{BITTRACE, capture, carriers, run_in, summary};

/// Runs a client against another one's capture; it must get everything. The folder has the recording, `run.pcapng`.
pub(crate) fn completes(name: &str, client: &[&str], files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in files {
        std::fs::write(folder.path().join(file), text).unwrap();
    }
    let content = folder.path().join("content");
    std::fs::create_dir(&content).unwrap();
    let place = content.display().to_string();
    let client: Vec<String> = client.iter().map(|word| word.replace("{content}", &place)).collect();
    let client: Vec<&str> = client.iter().map(String::as_str).collect();
    let capture = capture(name);
    let arguments =
        [&["replay", &capture, "--timeout", "60", "--record", "run.pcapng", "--"][..], &client].concat();
    let (code, printed, errors) = run_in(folder.path(), &arguments);
    assert_eq!(code, 1, "{name}, {client:?}: {printed}{errors}");
    let torrent = std::fs::read(captures_folder().join(name).with_extension("torrent")).unwrap();
    let torrent = bittrace_protocol::Metainfo::decode(&torrent).unwrap();
    let mut pieces = bittrace_replay::RecordedPieces::default();
    pieces
        .read_from(&torrent, &content)
        .unwrap_or_else(|error| panic!("{}: {error}\n{printed}{errors}", content.display()));
    assert_eq!(pieces.missing(&torrent), [], "{printed}{errors}");
    assert!(printed.contains("Local messages") && printed.contains("They differ"), "{printed}");
    folder
}

/// A tracker over UDP is the far end of clients as well: aria2 asks one while its DHT is on, Transmission and libtorrent ask any.
#[test]
fn clients_download_by_a_replayed_tracker_over_udp() {
    if is_there("aria2c") {
        let on = ["--enable-dht=true", "--enable-dht6=false", "--dht-file-path={content}/../dht.dat"];
        let is_off = |word: &&&str| **word != "--enable-dht=false";
        let aria2: Vec<&str> = ARIA2.iter().filter(is_off).copied().collect();
        let [words @ .., torrent] = &aria2[..] else { panic!("no words") };
        completes("udp-tracker.pcap", &[words, &on[..], &[torrent]].concat(), &[]);
    }
    if is_there("libtorrent") {
        completes("udp-tracker.pcap", &LIBTORRENT, &LIBTORRENT_FILES);
    }
    if is_there("transmission-daemon") {
        completes("udp-tracker.pcap", &TRANSMISSION, &[("settings", TRANSMISSION_SETTINGS)]);
    }
}

#[test]
fn clients_that_insist_on_encryption_download_from_an_encrypted_far_end() {
    if is_there("libtorrent") {
        completes("mse-rc4-keyed.pcapng", &[&LIBTORRENT[..], &["encrypt"]].concat(), &LIBTORRENT_FILES);
    }
    if is_there("aria2c") {
        let force = ["--bt-force-encryption=true"];
        let [words @ .., torrent] = ARIA2 else { panic!("no words") };
        completes("mse-rc4-keyed.pcapng", &[words, &force[..], &[torrent]].concat(), &[]);
    }
}

/// Runs a client that seeds against the recorded downloader of another seeder: it must send every block of the content.
fn seeds(name: &str, client: &[&str], files: &[(&str, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in files {
        std::fs::write(folder.path().join(file), text).unwrap();
    }
    let capture = capture(name);
    let (code, printed, errors) = run_in(
        folder.path(),
        &[&["replay", &capture, "--timeout", "60", "--format", "json", "--"][..], client].concat(),
    );
    assert_eq!(code, 1, "{name}, {client:?}: {printed}{errors}");
    let summary = summary(&printed);
    let pieces = &summary["sides"]["local"]["piece"]["verdicts"];
    let counts = ["same", "moved", "differs", "missing", "extra"].map(|verdict| pieces[verdict].as_u64());
    let [same, moved, rest @ ..] = counts.map(Option::unwrap_or_default);
    assert_eq!((same + moved, rest), (16, [0; 3]), "{name}, {client:?}: {summary}");
}

#[test]
fn aria2_seeds_to_the_recorded_downloader_of_transmission() {
    if is_there("aria2c") {
        let words = ["aria2c", "--no-conf", "--dir", "{dir}", "--check-integrity=true", "--seed-ratio=0.0"];
        let more = [
            "--seed-time=600",
            "--enable-dht=false",
            "--bt-enable-lpd=false",
            "--listen-port",
            "{port}",
            "{torrent}",
        ];
        seeds("seeding-transmission.pcap", &[&words[..], &more].concat(), &[]);
    }
}

#[test]
fn transmission_seeds_to_the_recorded_downloader_of_aria2() {
    if is_there("transmission-daemon") {
        let client = TRANSMISSION.map(|word| if word == "{content}" { "{dir}" } else { word });
        seeds("seeding-aria2.pcap", &client, &[("settings", TRANSMISSION_SETTINGS)]);
    }
}

#[test]
fn libtorrent_seeds_to_the_recorded_downloader_of_transmission() {
    if is_there("libtorrent") {
        let client = ["/usr/bin/python3", "client.py", "{torrent}", "{dir}", "{port}", "seed"];
        seeds("seeding-transmission.pcap", &client, &LIBTORRENT_FILES);
    }
}

const LIBTORRENT: [&str; 5] = ["/usr/bin/python3", "client.py", "{torrent}", "{content}", "{port}"];

/// Its program must be there before it starts.
const LIBTORRENT_FILES: [(&str, &str); 1] =
    [("client.py", include_str!("../../captures/tools/replayed_libtorrent.py"))];

pub(crate) const ARIA2: &[&str] = &[
    "aria2c",
    "--dir",
    "{content}",
    "--seed-time=0",
    "--listen-port",
    "{port}",
    "--enable-dht=false",
    "--bt-enable-lpd=false",
    "--no-conf",
    "{torrent}",
];

#[test]
fn aria2_downloads_from_the_far_ends_of_other_clients() {
    if is_there("aria2c") {
        completes("download-transmission.pcap", ARIA2, &[]);
        completes("download-qbittorrent.pcapng", ARIA2, &[]);
        completes("download-rtorrent.pcap", ARIA2, &[]);
    }
}

#[test]
fn transmission_downloads_from_the_far_end_of_aria2() {
    if is_there("transmission-daemon") {
        completes("download-aria2.pcap", &TRANSMISSION, &[("settings", TRANSMISSION_SETTINGS)]);
    }
}

const TRANSMISSION_SETTINGS: &str = r#"{ "encryption": 0, "dht-enabled": false, "pex-enabled": false, "lpd-enabled": false,
    "utp-enabled": false, "port-forwarding-enabled": false, "peer-port": PORT, "rpc-enabled": false,
    "start-added-torrents": true, "bind-address-ipv4": "127.0.0.1", "bind-address-ipv6": "::1",
    "watch-dir-enabled": true, "watch-dir": "WATCHED", "download-dir": "CONTENT" }"#;

/// Its settings and its folder of torrents must be there before it starts.
const TRANSMISSION: [&str; 7] = [
    "/bin/sh",
    "-c",
    r#"mkdir watched conf && cp "$1" watched/it.torrent &&
    sed -e "s|PORT|$2|;s|WATCHED|$PWD/watched|;s|CONTENT|$3|" settings > conf/settings.json &&
    exec transmission-daemon -f -g "$PWD/conf""#,
    "sh",
    "{torrent}",
    "{port}",
    "{content}",
];

/// libtorrent and qBittorrent with uTP alone, and Transmission, which prefers it.
#[test]
fn clients_download_over_utp_from_a_recorded_peer_of_utp() {
    let over_utp = |folder: &TempDir| carriers(&folder.path().join("run.pcapng"), "piece");
    if is_there("libtorrent") {
        let folder = completes("utp-download.pcap", &[&LIBTORRENT[..], &["utp"]].concat(), &LIBTORRENT_FILES);
        assert_eq!(over_utp(&folder), ["utp"]);
    }
    if is_there("transmission-daemon") {
        let settings = TRANSMISSION_SETTINGS.replace("\"utp-enabled\": false", "\"utp-enabled\": true");
        let folder = completes("utp-download.pcap", &TRANSMISSION, &[("settings", &settings)]);
        assert_eq!(over_utp(&folder), ["utp"]);
    }
    if is_there("qbittorrent-nox") {
        let folder = completes("utp-download.pcap", &QBITTORRENT, &[("settings", QBITTORRENT_SETTINGS)]);
        assert_eq!(over_utp(&folder), ["utp"]);
    }
    // One without uTP finds the recorded peer over TCP.
    if is_there("aria2c") {
        let folder = completes("utp-download.pcap", ARIA2, &[]);
        assert_eq!(over_utp(&folder), ["tcp"]);
    }
}

#[test]
fn clients_download_a_torrent_of_version_2_alone() {
    if is_there("libtorrent") {
        completes("v2-download.pcapng", &LIBTORRENT, &LIBTORRENT_FILES);
    }
    // By a link, so that metadata and piece layers come from the recorded peer.
    let client = [
        BITTRACE,
        "download",
        "-o",
        "{content}",
        "--port",
        "{port}",
        "--listen",
        "127.0.0.1",
        "-q",
        "{magnet}",
    ];
    let folder = completes("v2-download.pcapng", &client, &[]);
    assert_eq!(carriers(&folder.path().join("run.pcapng"), "hashes"), ["tcp"]);
}

/// The node of the DHT alone names the peer: the link has neither trackers nor peers.
#[test]
fn clients_find_the_recorded_peer_through_recorded_nodes_of_the_dht() {
    let carried = |folder: &TempDir, message| carriers(&folder.path().join("run.pcapng"), message);
    let client =
        ["-o", "{content}", "--port", "{port}", "--listen", "127.0.0.1", "-q", "--dht-node", "{dht}"];
    let state = ["--dht-state", "{content}/../dht.state", "{magnet}"];
    let client = [&[BITTRACE, "download"], &client[..], &state].concat();
    assert_eq!(carried(&completes("dht-get-peers.pcap", &client, &[]), "get_peers-response"), ["udp"]);
    if is_there("libtorrent") {
        let client = ["/usr/bin/python3", "client.py", "{magnet}", "{content}", "{port}", "node={dht}"];
        let folder = completes("dht-get-peers.pcap", &client, &LIBTORRENT_FILES);
        assert_eq!(carried(&folder, "announce_peer-response"), ["udp"]);
    }
}

/// The recorded client went by the hash of version 2. Of the clients here aria2 and Transmission 3 do not read hybrid torrents.
#[test]
fn clients_download_a_hybrid_torrent_by_either_of_its_hashes() {
    if is_there("libtorrent") {
        completes("hybrid-v2-hashes.pcap", &LIBTORRENT, &LIBTORRENT_FILES);
    }
    let client = ["-o", "{content}", "--port", "{port}", "--listen", "127.0.0.1", "-q", "{magnet}"];
    completes("hybrid-v2-hashes.pcap", &[&[BITTRACE, "download"], &client[..]].concat(), &[]);
}

#[test]
fn libtorrent_downloads_from_the_far_ends_of_other_clients() {
    if is_there("libtorrent") {
        completes("download-aria2.pcap", &LIBTORRENT, &LIBTORRENT_FILES);
        completes("download-rtorrent.pcap", &LIBTORRENT, &LIBTORRENT_FILES);
    }
}

/// Over uTP alone, without encryption.
const QBITTORRENT_SETTINGS: &str = r"[LegalNotice]
Accepted=true
[Network]
PortForwardingEnabled=false
[Preferences]
WebUI\Address=127.0.0.1
WebUI\Port=WEB
WebUI\UseUPnP=false
[BitTorrent]
Session\Encryption=2
Session\DHTEnabled=false
Session\LSDEnabled=false
Session\PeXEnabled=false
Session\BTProtocol=UTP
Session\Port=PORT
Session\UseRandomPort=false
Session\QueueingSystemEnabled=false
Session\InterfaceAddress=127.0.0.1
";

/// Its settings must be there before it starts.
const QBITTORRENT: [&str; 7] = [
    "/bin/sh",
    "-c",
    r#"mkdir -p profile/qBittorrent/config &&
    sed -e "s|PORT|$2|;s|WEB|$(($2 ^ 1))|" settings > profile/qBittorrent/config/qBittorrent.conf &&
    exec qbittorrent-nox --profile="$PWD/profile" --skip-dialog=true --add-paused=false --save-path="$3" "$1""#,
    "sh",
    "{torrent}",
    "{port}",
    "{content}",
];
