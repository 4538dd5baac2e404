//! What the arguments of the command line want of a run: how to speak, which peers to look for, what to call ourselves.

use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use bittrace_client::{
    DhtOptions, DownloadOptions, Resume, RootName, proxies_of_environment, random_identity,
};
use bittrace_protocol::metainfo::FileChoice;
use bittrace_protocol::node::UtpPolicy;
use bittrace_protocol::session::{Config, EncryptionPolicy, EncryptionProfile, Identity, SeedGoal};
use bittrace_protocol::{HostPort, InfoHash, Metainfo, PeerId};
use bittrace_replay::{Transcript, infer_profile};

use crate::args;
use crate::commands::profile::own_profile;
use crate::os::state_folder;

/// What the arguments want of a run of this torrent, which is known unless peers are to describe it.
///
/// # Errors
/// When an argument is wrong, the capture that is imitated cannot be read, or chance cannot be had.
pub(crate) fn options(
    arguments: &args::DownloadArguments,
    torrent: InfoHash,
    known: Option<&Arc<Metainfo>>,
) -> Result<DownloadOptions> {
    let Manner { mut config, mut identity, utp } = manner(arguments, torrent, known)?;
    if let Some(peer_id) = &arguments.peer_id {
        identity = Identity { peer_id: own_peer_id(peer_id)?, ..identity };
    }
    config.files = arguments.select.iter().cloned().fold(FileChoice::ALL, FileChoice::and);
    config.single_peer = arguments.single_peer;
    if let Some(encryption) = arguments.encryption {
        config.profile.encryption = config.profile.encryption.under(match encryption {
            args::Encryption::Off => EncryptionPolicy::Off,
            args::Encryption::Allow => EncryptionPolicy::Allow,
            args::Encryption::Prefer => EncryptionPolicy::Prefer,
            args::Encryption::Require => EncryptionPolicy::Require,
        });
    }
    config.port = arguments.port.unwrap_or_else(free_port);
    config.upload_limit = arguments.upload_limit.map(|kib| kib.saturating_mul(1024));
    if let Some(peers) = arguments.max_peers {
        config.max_peers = usize::from(peers);
    }
    if let Some(seconds) = arguments.timeout {
        let timeout = Duration::from_secs(seconds);
        config.connect_timeout = timeout;
        config.handshake_timeout = timeout;
        config.request_timeout = timeout;
        config.choke_timeout = timeout;
        config.tracker_timeout = timeout;
    }
    config.allow_local = arguments.allow_local;
    config.profile.web_seeds &= !arguments.no_web_seeds;
    config.proxies = proxies_of_environment();
    config.seeding = arguments.seed.as_deref().map(seed_goal).transpose()?;
    let rounds = arguments.rounds.unwrap_or(if arguments.single_peer { 1 } else { 3 });
    config.rounds = Some(rounds).filter(|&rounds| rounds > 0);
    let mut options = DownloadOptions::new(&arguments.output, config, identity);
    options.dht = dht_options(arguments);
    if !arguments.listen.is_empty() {
        options.listen.clone_from(&arguments.listen);
    }
    options.utp = match arguments.utp {
        // One peer at a time leaves nobody to race with.
        None if arguments.single_peer => UtpPolicy::Off,
        None => utp,
        Some(args::Utp::Off) => UtpPolicy::Off,
        Some(args::Utp::Allow) => UtpPolicy::Allow,
        Some(args::Utp::Prefer) => UtpPolicy::Prefer,
        Some(args::Utp::Require) => UtpPolicy::Require,
    };
    if options.utp != UtpPolicy::Off && arguments.like.is_none() {
        options.config.profile = options.config.profile.with_holepunch();
    }
    options.lsd = looks_around(arguments);
    options.resume = if arguments.no_resume { Resume::Ignore } else { Resume::Verify };
    options.overwrite = arguments.overwrite;
    options.repair = arguments.repair;
    if arguments.output == Path::new(".") {
        options.root_name = RootName::SafeAndVisible;
    }
    options.key_log.clone_from(&arguments.key_log);
    options.record_comment = format!("bittrace {} download", env!("CARGO_PKG_VERSION"));
    Ok(options)
}

/// How to speak, and what to call ourselves.
struct Manner {
    config: Config,
    identity: Identity,
    utp: UtpPolicy,
}

/// The manner of a run: that of the client of a capture where that is wanted. `known` is the torrent, where it is known yet.
fn manner(
    arguments: &args::DownloadArguments,
    torrent: InfoHash,
    known: Option<&Arc<Metainfo>>,
) -> Result<Manner> {
    let identity = random_identity(PEER_ID_PREFIX)?;
    let Some(path) = &arguments.like else {
        let mut config = Config::new(own_profile());
        config.profile.encryption = EncryptionProfile::own(EncryptionPolicy::Allow);
        return Ok(Manner { config, identity, utp: UtpPolicy::Allow });
    };
    let torrents = known.cloned().into_iter().collect();
    let trace_options = bittrace_trace::TraceOptions { torrents, ..Default::default() };
    let reference = Transcript::open(path, trace_options)?;
    let learnt = infer_profile(&reference, own_profile())?;
    let peer_id = learnt.profile.peer_id.draw(identity.seed);
    let mut config = Config::new(learnt.profile);
    if reference.is_torrent(torrent) {
        config.schedule = learnt.schedule;
    }
    Ok(Manner { config, identity: Identity { peer_id, ..identity }, utp: learnt.utp })
}

/// Whether peers of the local network are looked for. A client that is imitated looks for peers in its own ways, and a single peer
/// comes from the tracker.
pub(super) const fn looks_around(arguments: &args::DownloadArguments) -> bool {
    !arguments.no_lsd && arguments.like.is_none() && !arguments.single_peer
}

/// How the DHT is used; `None` is without it.
pub(super) fn dht_options(arguments: &args::DownloadArguments) -> Option<DhtOptions> {
    // What a capture shows of its client's nodes is not imitated.
    if arguments.no_dht || (arguments.like.is_some() && arguments.dht_node.is_empty()) {
        return None;
    }
    let is_local = !arguments.listen.is_empty() && arguments.listen.iter().all(IpAddr::is_loopback);
    let is_public = arguments.dht_node.is_empty() && !is_local;
    let state = || Some(state_folder()?.join("dht.dat"));
    Some(DhtOptions {
        version: DHT_VERSION,
        nodes: arguments.dht_node.clone(),
        routers: if is_public { ROUTERS.map(router).to_vec() } else { Vec::new() },
        state: arguments.dht_state.clone().or_else(|| if is_public { state() } else { None }),
    })
}

fn router(host: &str) -> HostPort {
    HostPort { host: host.to_owned(), port: 6881 }
}

/// Nodes that other clients ask too; the help lists them.
const ROUTERS: [&str; 3] = ["router.bittorrent.com", "dht.transmissionbt.com", "router.utorrent.com"];
/// What nodes of the DHT read of us: the letters of our peer ids, and a version.
const DHT_VERSION: [u8; 4] = *b"bt\x01\x00";

/// The first port that is free of those that clients use (BEP 3, "trackers"); 0, for any, when none is.
fn free_port() -> u16 {
    let free = |port: &u16| {
        let address = (Ipv4Addr::UNSPECIFIED, *port);
        TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()
    };
    (6881..=6889).find(free).unwrap_or(0)
}

/// A peer id of up to 20 characters, filled up at random by the caller's own choice of prefix.
fn own_peer_id(text: &str) -> Result<PeerId> {
    if text.len() > 20 {
        bail!("--peer-id: {} bytes, expected at most 20", text.len());
    }
    Ok(random_identity(text.as_bytes())?.peer_id)
}

/// `RATIO` (a number), `TIME` (a number and s, min, h or d), or nothing: for ever.
fn seed_goal(text: &str) -> Result<SeedGoal> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(SeedGoal::default());
    }
    let units = [("min", 60), ("h", 3600), ("d", 24 * 3600), ("s", 1)];
    let time = units.iter().find_map(|(unit, seconds)| {
        let number: u64 = text.strip_suffix(unit)?.trim().parse().ok()?;
        Some(Duration::from_secs(number.saturating_mul(*seconds)))
    });
    let ratio = text.parse().ok().filter(|ratio: &f64| ratio.is_finite() && *ratio >= 0.0);
    if time.is_none() && ratio.is_none() {
        bail!("--seed: {text} is neither a ratio, such as 1.5, nor a time, such as 90s, 30min, 2h or 1d");
    }
    Ok(SeedGoal { ratio, time })
}

/// What our peer ids begin with, in the manner of BEP 20: no other client has `bt` in small letters.
const PEER_ID_PREFIX: &[u8] = b"-bt0100-";

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use clap::Parser;

    use super::*;

    /// How the DHT is used with these options: the hosts of its nodes, those of its well-known nodes, its file.
    fn dht_of(options: &[&str]) -> Option<(Vec<String>, usize, Option<PathBuf>)> {
        let line = [&["bittrace", "download", "file.torrent"], options].concat();
        let args::Command::Download(arguments) = args::Arguments::try_parse_from(line).unwrap().command
        else {
            panic!("not a download");
        };
        let dht = dht_options(&arguments)?;
        let nodes = dht.nodes.iter().map(ToString::to_string).collect();
        Some((nodes, dht.routers.len(), dht.state))
    }

    #[test]
    fn well_known_nodes_are_asked_unless_there_are_others_or_only_loopback_is_listened_on() {
        let (nodes, routers, state) = dht_of(&[]).unwrap();
        assert_eq!(
            (nodes.len(), routers, state),
            (0, 3, state_folder().map(|folder| folder.join("dht.dat")))
        );
        assert_eq!(dht_of(&["--listen", "127.0.0.1", "--listen", "::1"]), Some((Vec::new(), 0, None)));
        assert_eq!(dht_of(&["--listen", "127.0.0.1", "--listen", "10.0.0.1"]).unwrap().1, 3);
        let own = ["--dht-node", "[::1]:7000", "--dht-node", "node.test:6881", "--dht-state", "nodes"];
        let named = vec!["[::1]:7000".to_owned(), "node.test:6881".to_owned()];
        assert_eq!(dht_of(&own), Some((named, 0, Some("nodes".into()))));
        assert_eq!(dht_of(&["--no-dht"]), None);
        assert_eq!(dht_of(&["--like", "a.pcap"]), None);
        assert!(dht_of(&["--like", "a.pcap", "--dht-node", "10.0.0.1:6881"]).is_some());
    }

    #[test]
    fn a_node_of_the_dht_has_a_host_and_a_port() {
        for node in ["", "host", ":6881", "host:", "host:0", "host:65536", "::1:6881", "[]:6881"] {
            let line = ["bittrace", "download", "file.torrent", "--dht-node", node];
            assert!(args::Arguments::try_parse_from(line).is_err(), "{node}");
        }
    }

    #[test]
    fn seeds_up_to_a_ratio_or_for_a_time() {
        let time = |seconds| SeedGoal { ratio: None, time: Some(Duration::from_secs(seconds)) };
        for (text, goal) in [
            ("", SeedGoal::default()),
            ("1.5", SeedGoal { ratio: Some(1.5), time: None }),
            ("90s", time(90)),
            ("30min", time(1800)),
            ("2 h", time(7200)),
            ("1d", time(86_400)),
        ] {
            assert_eq!(seed_goal(text).unwrap(), goal, "{text}");
        }
        for text in ["1w", "d", "-1", "nan", "1.5h"] {
            assert!(seed_goal(text).is_err(), "{text}");
        }
    }
}
