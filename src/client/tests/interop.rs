//! Real clients on loopback, as seeders and as leechers.

#![allow(clippy::unwrap_used, reason = "a test ends at its first fault")]

mod support;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;

use bittrace_client::{Download, Outcome};
use bittrace_protocol::metainfo::FileChoice;
use bittrace_protocol::mse::Methods;
use bittrace_protocol::node::UtpPolicy;
use bittrace_protocol::session::{Config, EncryptionPolicy, EncryptionProfile, SeedGoal};
use bittrace_protocol::wire::Message;
use bittrace_testing::clients::*;
use bittrace_testing::programs::*;
use bittrace_testing::torrent::{MakeTorrent, SeededTorrent, visible_files};
use bittrace_testing::tracker::ScriptedTracker;
use bittrace_trace::record::{Body, MseBody, Severity, Side, Transport};
use bittrace_trace::{Dissected, Trace, TraceOptions};
use support::{options, patient, run, start};

const PIECE: usize = 64 * 1024;

/// 8 MiB in files of which two share pieces with others.
const FILES: [(&str, usize); 3] = [("a.bin", 5_000_000), ("sub/b.bin", 2_300_000), ("c.bin", 1_088_608)];

fn gives(host: IpAddr, program: &str, client: StartClient, manner: Manner) {
    if !is_there(program) || (host.is_ipv6() && !has_ipv6()) {
        return;
    }
    let (tracker, named) = ScriptedTracker::naming_later_at(host);
    let seed = (manner.torrent)(&tracker.url(), &FILES, PIECE);
    let folder = tempfile::tempdir().unwrap();
    let (content, work, output) =
        (folder.path().join("content"), folder.path().join("work"), folder.path().join("out"));
    seed.write_files(&content);
    std::fs::create_dir(&work).unwrap();
    let torrent = folder.path().join("it.torrent");
    std::fs::write(&torrent, &*seed.torrent).unwrap();
    let address = SocketAddr::new(host, free_port());
    let job = ClientJob::new(&torrent, &content, &work, address);
    let _client = client(&manner.job(job));
    if manner.transport == ClientTransport::Tcp {
        wait_until("listening", &work.join("log"), || TcpStream::connect(address).is_ok());
    }
    // It announces itself once its content is verified.
    wait_until("announcing", &work.join("log"), || !tracker.requests().is_empty());
    named.lock().unwrap().push(address);
    let recording = work.join("run.pcapng");
    let options = bittrace_client::DownloadOptions {
        listen: vec![host],
        record: Some(recording.clone()),
        utp: manner.utp(),
        ..options(&output, manner.config())
    };
    let (result, notices) = run(&seed, options);
    assert_eq!(result.unwrap().outcome, Outcome::Complete, "{notices:#?}");
    match manner.files {
        None => seed.assert_whole(&output),
        Some(name) => assert_alone(&seed, &output, name, &tracker),
    }
    manner.assert_shown_by(&recording, &seed);
}

/// This file of the torrent is there and no other; the tracker heard that more is left, and not that the torrent is complete.
fn assert_alone(seed: &SeededTorrent, output: &Path, name: &str, tracker: &ScriptedTracker) {
    let files = visible_files(output);
    assert_eq!(files.len(), 1, "{files:?}");
    let (path, bytes) = seed.files.iter().find(|(path, _)| path.ends_with(name)).unwrap();
    assert!(files[0] == *path && std::fs::read(output.join(path)).unwrap() == *bytes, "{path}");
    let ours: Vec<_> =
        tracker.requests().into_iter().filter(|request| request.contains("peer_id=-bt0000-")).collect();
    assert!(ours.len() >= 2, "{ours:?}");
    for request in ours {
        assert!(!request.contains("left=0&") && !request.contains("event=completed"), "{request}");
    }
}

fn takes(host: IpAddr, program: &str, client: StartClient, manner: Manner) {
    if !is_there(program) || (host.is_ipv6() && !has_ipv6()) {
        return;
    }
    let (tracker, named) = ScriptedTracker::naming_later_at(host);
    let seed = (manner.torrent)(&tracker.url(), &FILES, PIECE);
    let folder = tempfile::tempdir().unwrap();
    let (content, work, output) =
        (folder.path().join("content"), folder.path().join("work"), folder.path().join("out"));
    seed.write_files(&content);
    std::fs::create_dir(&work).unwrap();
    std::fs::create_dir(&output).unwrap();
    let torrent = folder.path().join("it.torrent");
    std::fs::write(&torrent, &*seed.torrent).unwrap();
    let config = Config { seeding: Some(SeedGoal::default()), ..manner.config() };
    let recording = work.join("run.pcapng");
    let options = bittrace_client::DownloadOptions {
        listen: vec![host],
        record: Some(recording.clone()),
        utp: manner.utp(),
        ..options(&content, config)
    };
    let download = Download::new(seed.metainfo.clone(), options).unwrap();
    let stop = download.stop();
    let (seeder, port) = start(download);
    let address = SocketAddr::new(host, port);
    named.lock().unwrap().push(address);
    let address = SocketAddr::new(host, free_port());
    let _client = client(&manner.job(ClientJob::new(&torrent, &output, &work, address)));
    wait_until("downloading", &work.join("log"), || seed.is_whole(&output));
    stop.stop();
    let report = seeder.join().unwrap().unwrap();
    assert!(report.status.unwrap().uploaded >= seed.content_length());
    manner.assert_shown_by(&recording, &seed);
}

/// How both ends encrypt.
#[derive(Debug, Clone, Copy)]
struct Manner {
    client: ClientEncryption,
    ours: EncryptionPolicy,
    /// What we offer in negotiations; `None` is what goes with the policy.
    offers: Option<Methods>,
    /// What carries the connections; where it is uTP, we take nothing else.
    transport: ClientTransport,
    torrent: MakeTorrent,
    /// The file that is wanted alone.
    files: Option<&'static str>,
}

const CLEAR: Manner = Manner {
    client: ClientEncryption::Off,
    ours: EncryptionPolicy::Off,
    offers: None,
    transport: ClientTransport::Tcp,
    torrent: SeededTorrent::folder,
    files: None,
};
/// One file of three, which shares pieces with both others where files do not begin pieces.
const CHOSEN: Manner = Manner { files: Some("sub/b.bin"), ..CLEAR };
const HYBRID_CHOSEN: Manner = Manner { files: Some("sub/b.bin"), ..HYBRID };
const V2_CHOSEN: Manner = Manner { files: Some("sub/b.bin"), ..V2 };
/// Torrents with hash trees (BEP 52): of version 2 alone, and hybrid ones.
const V2: Manner = Manner { torrent: SeededTorrent::v2, ..CLEAR };
const HYBRID: Manner = Manner { torrent: SeededTorrent::hybrid, ..CLEAR };
const V2_WITH_RC4: Manner = Manner { torrent: SeededTorrent::v2, ..RC4 };
const HYBRID_WITH_RC4: Manner = Manner { torrent: SeededTorrent::hybrid, ..RC4 };
const UTP: Manner = Manner { transport: ClientTransport::Utp, ..CLEAR };
const RC4_OVER_UTP: Manner = Manner { transport: ClientTransport::Utp, ..RC4 };
/// A client that takes RC4 alone, and we take nothing else either.
const RC4: Manner = Manner { client: ClientEncryption::Rc4, ours: EncryptionPolicy::Require, ..CLEAR };
/// A client that negotiates and then speaks in clear: we dial it with a negotiation that offers both.
const PLAINTEXT: Manner =
    Manner { client: ClientEncryption::Plaintext, ours: EncryptionPolicy::Prefer, ..CLEAR };
/// The same, where nothing else is offered: the client chooses RC4 of both.
const PLAINTEXT_ALONE: Manner = Manner { offers: Some(Methods(Methods::PLAINTEXT)), ..PLAINTEXT };
const PLAINTEXT_OVER_UTP: Manner = Manner { transport: ClientTransport::Utp, ..PLAINTEXT };
const PLAINTEXT_ALONE_OVER_UTP: Manner = Manner { transport: ClientTransport::Utp, ..PLAINTEXT_ALONE };
const PLAINTEXT_OF_CALLERS_OVER_UTP: Manner =
    Manner { transport: ClientTransport::Utp, ..PLAINTEXT_OF_CALLERS };
/// The same client calls us, who choose plaintext where we may.
const PLAINTEXT_OF_CALLERS: Manner =
    Manner { client: ClientEncryption::Plaintext, ours: EncryptionPolicy::Allow, ..CLEAR };
/// A client that takes RC4 alone, and we try in clear first.
const RC4_AFTER_CLEAR: Manner =
    Manner { client: ClientEncryption::Rc4, ours: EncryptionPolicy::Allow, ..CLEAR };
/// A client that takes connections in clear alone, and we try to encrypt first.
const CLEAR_AFTER_RC4: Manner =
    Manner { client: ClientEncryption::Off, ours: EncryptionPolicy::Prefer, ..CLEAR };

impl Manner {
    fn config(self) -> Config {
        let mut config = patient();
        let own = EncryptionProfile::own(self.ours);
        config.profile.encryption = EncryptionProfile { offers: self.offers.unwrap_or(own.offers), ..own };
        config.files = self.files.map_or(FileChoice::ALL, |files| files.parse().unwrap());
        config
    }

    const fn job<'a>(self, job: ClientJob<'a>) -> ClientJob<'a> {
        ClientJob { encryption: self.client, transport: self.transport, ..job }
    }

    const fn utp(self) -> UtpPolicy {
        match self.transport {
            ClientTransport::Tcp => UtpPolicy::Off,
            ClientTransport::Utp => UtpPolicy::Require,
        }
    }

    /// Every byte of the recording has a meaning, we broke no rule, and blocks stood encrypted on the wire where the client takes
    /// RC4 alone.
    fn assert_shown_by(self, recording: &Path, seed: &SeededTorrent) {
        let torrents = seed.metainfo.info_hash_v2.map(|_| seed.metainfo.clone()).into_iter().collect();
        let mut trace = Trace::open(recording, TraceOptions { torrents, ..TraceOptions::default() }).unwrap();
        let (mut blocks, mut negotiations) = (BTreeMap::new(), 0);
        while let Some(dissected) = trace.next().unwrap() {
            let Dissected::Record(record) = dissected else { continue };
            negotiations += usize::from(matches!(record.body, Body::Mse(MseBody::Negotiation(_))));
            let is_opaque = matches!(record.body, Body::Unreadable(..) | Body::Mse(MseBody::Encrypted));
            // A negotiation that one end refuses has no key: aria2 encrypts its first connection to a peer, and a client that
            // does not encrypt may read a part of our public key.
            let is_refused = matches!(self.ours, EncryptionPolicy::Prefer | EncryptionPolicy::Off);
            assert!(!is_opaque || is_refused, "{record:?}");
            if record.side == Side::Local {
                let findings = record.notes.iter().filter(|note| note.rule.severity >= Severity::Warn);
                assert_eq!(findings.count(), 0, "{record:?}");
            }
            if matches!(record.body.peer_message(), Some(Message::Piece { .. })) {
                let over_utp = record.transport == Transport::Utp;
                assert_eq!(over_utp, self.transport == ClientTransport::Utp, "{record:?}");
                *blocks.entry(record.decrypted).or_insert(0) += 1;
            }
        }
        let encrypted = self.client == ClientEncryption::Rc4;
        assert!(blocks.contains_key(&encrypted) && !blocks.contains_key(&!encrypted), "{blocks:?}");
        let negotiates = self.client != ClientEncryption::Off;
        assert!(!negotiates || negotiations > 0, "a negotiation was read");
    }
}

const IPV4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const IPV6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

macro_rules! interop {
    ($($host:ident $client:ident, $manner:ident: $program:literal, $gives:ident, $takes:ident;)*) => {$(
        #[test]
        fn $gives() {
            gives($host, $program, $client, $manner);
        }

        #[test]
        fn $takes() {
            takes($host, $program, $client, $manner);
        }
    )*};
}

interop! {
    IPV4 aria2, CLEAR: "aria2c", aria2_gives, aria2_takes;
    IPV4 qbittorrent, CLEAR: "qbittorrent-nox", qbittorrent_gives, qbittorrent_takes;
    IPV4 rtorrent, CLEAR: "rtorrent", rtorrent_gives, rtorrent_takes;
    IPV4 libtorrent, CLEAR: "libtorrent", libtorrent_gives, libtorrent_takes;
    IPV4 aria2, RC4: "aria2c", aria2_gives_with_rc4, aria2_takes_with_rc4;
    IPV4 qbittorrent, RC4: "qbittorrent-nox", qbittorrent_gives_with_rc4, qbittorrent_takes_with_rc4;
    IPV4 rtorrent, RC4: "rtorrent", rtorrent_gives_with_rc4, rtorrent_takes_with_rc4;
    IPV4 libtorrent, RC4: "libtorrent", libtorrent_gives_with_rc4, libtorrent_takes_with_rc4;
    IPV4 qbittorrent, UTP: "qbittorrent-nox", qbittorrent_gives_over_utp, qbittorrent_takes_over_utp;
    IPV4 libtorrent, UTP: "libtorrent", libtorrent_gives_over_utp, libtorrent_takes_over_utp;
    IPV4 libtorrent, RC4_OVER_UTP: "libtorrent", libtorrent_gives_with_rc4_over_utp, libtorrent_takes_with_rc4_over_utp;
    IPV4 qbittorrent, RC4_OVER_UTP: "qbittorrent-nox", qbittorrent_gives_with_rc4_over_utp, qbittorrent_takes_with_rc4_over_utp;
    IPV4 libtorrent, V2: "libtorrent", libtorrent_gives_v2, libtorrent_takes_v2;
    IPV4 libtorrent, HYBRID: "libtorrent", libtorrent_gives_hybrid, libtorrent_takes_hybrid;
    IPV4 libtorrent, V2_WITH_RC4: "libtorrent", libtorrent_gives_v2_with_rc4, libtorrent_takes_v2_with_rc4;
    IPV4 libtorrent, HYBRID_WITH_RC4: "libtorrent", libtorrent_gives_hybrid_with_rc4, libtorrent_takes_hybrid_with_rc4;
    IPV6 libtorrent, UTP: "libtorrent", libtorrent_gives_over_utp_and_ipv6, libtorrent_takes_over_utp_and_ipv6;
    IPV6 aria2, CLEAR: "aria2c", aria2_gives_over_ipv6, aria2_takes_over_ipv6;
    IPV6 qbittorrent, CLEAR: "qbittorrent-nox", qbittorrent_gives_over_ipv6, qbittorrent_takes_over_ipv6;
    IPV6 libtorrent, CLEAR: "libtorrent", libtorrent_gives_over_ipv6, libtorrent_takes_over_ipv6;
}

#[test]
fn aria2_and_libtorrent_give_one_file_of_several() {
    gives(IPV4, "aria2c", aria2, CHOSEN);
    gives(IPV4, "libtorrent", libtorrent, CHOSEN);
    gives(IPV4, "libtorrent", libtorrent, V2_CHOSEN);
    gives(IPV4, "libtorrent", libtorrent, HYBRID_CHOSEN);
}

#[test]
fn clients_that_choose_plaintext_give() {
    gives(IPV4, "aria2c", aria2, PLAINTEXT);
    gives(IPV4, "libtorrent", libtorrent, PLAINTEXT);
    gives(IPV4, "rtorrent", rtorrent, PLAINTEXT);
    gives(IPV4, "transmission-daemon", transmission, PLAINTEXT_ALONE);
}

#[test]
fn clients_that_choose_plaintext_take() {
    takes(IPV4, "aria2c", aria2, PLAINTEXT_OF_CALLERS);
    takes(IPV4, "libtorrent", libtorrent, PLAINTEXT_OF_CALLERS);
    takes(IPV4, "rtorrent", rtorrent, PLAINTEXT_OF_CALLERS);
}

#[test]
fn clients_that_choose_plaintext_give_over_utp() {
    gives(IPV4, "libtorrent", libtorrent, PLAINTEXT_OVER_UTP);
    gives(IPV4, "transmission-daemon", transmission, PLAINTEXT_ALONE_OVER_UTP);
}

#[test]
fn libtorrent_takes_in_plaintext_over_utp() {
    takes(IPV4, "libtorrent", libtorrent, PLAINTEXT_OF_CALLERS_OVER_UTP);
}

#[test]
fn a_client_that_takes_rc4_alone_is_found_after_a_try_in_clear() {
    gives(IPV4, "aria2c", aria2, RC4_AFTER_CLEAR);
    gives(IPV4, "libtorrent", libtorrent, RC4_AFTER_CLEAR);
}

#[test]
fn a_client_that_does_not_encrypt_is_found_after_a_try_with_encryption() {
    gives(IPV4, "libtorrent", libtorrent, CLEAR_AFTER_RC4);
}

#[test]
fn transmission_gives() {
    gives(IPV4, "transmission-daemon", transmission, CLEAR);
}

#[test]
fn transmission_gives_over_utp() {
    gives(IPV4, "transmission-daemon", transmission, UTP);
}

#[test]
fn transmission_gives_with_rc4() {
    gives(IPV4, "transmission-daemon", transmission, RC4);
}

#[test]
fn transmission_gives_with_rc4_over_utp() {
    gives(IPV4, "transmission-daemon", transmission, RC4_OVER_UTP);
}

/// Transmission takes none of the loopback network from a tracker.
macro_rules! transmission_takes {
    ($($test:ident $elsewhere:ident $manner:ident;)*) => {$(
        #[test]
        fn $test() {
            if ["transmission-daemon", "unshare", "ip"].into_iter().all(is_there) {
                in_a_namespace(stringify!($elsewhere));
            }
        }

        #[test]
        #[ignore = "another test runs it, in a network namespace"]
        fn $elsewhere() {
            takes(IN_NAMESPACE, "transmission-daemon", transmission, $manner);
        }
    )*};
}

transmission_takes! {
    transmission_takes transmission_takes_elsewhere CLEAR;
    transmission_takes_with_rc4 transmission_takes_with_rc4_elsewhere RC4;
    transmission_takes_over_utp transmission_takes_over_utp_elsewhere UTP;
    transmission_takes_with_rc4_over_utp transmission_takes_with_rc4_over_utp_elsewhere RC4_OVER_UTP;
}
