//! What a real client is started with, as words and texts of settings: nothing is started here, and no file is written.
//!
//! All of them speak plain BitTorrent over TCP with an HTTP tracker: no encryption, uTP, DHT, peer exchange or search in the local
//! network where a setting turns that off.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::scenario::Client;

/// What a client is to do.
#[derive(Debug)]
pub struct ClientJob<'a> {
    /// The torrent file.
    pub torrent: &'a Path,
    /// The folder that the content is in, or comes into.
    pub content: &'a Path,
    /// A folder for its settings and what it keeps.
    pub work: &'a Path,
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it stays once it has everything.
    pub stays: bool,
    /// The most bytes a second up, where the client itself is to see to that.
    pub up: Option<f64>,
    /// The same down.
    pub down: Option<f64>,
    /// How many connections it keeps.
    pub connections: u32,
    /// How many peers it serves at once.
    pub slots: u32,
    /// The capture whose client this program is to behave like.
    pub like: Option<&'a Path>,
}

/// How a client is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCommand {
    /// The arguments, the program left out.
    pub arguments: Vec<OsString>,
    /// Files that have to be there first, with their text.
    pub files: Vec<(PathBuf, String)>,
    /// A folder into which the torrent is copied, where the client takes it from there.
    pub watched: Option<PathBuf>,
}

impl Client {
    /// The program that is searched for on the path; this program has none, and libtorrent needs an interpreter of Python.
    pub const fn program(self) -> Option<&'static str> {
        match self {
            Self::Ours | Self::Libtorrent => None,
            Self::Aria2 => Some("aria2c"),
            Self::Transmission => Some("transmission-daemon"),
            Self::Qbittorrent => Some("qbittorrent-nox"),
            Self::Rtorrent => Some("rtorrent"),
        }
    }

    /// What the client has no setting for, in words, of a limit of its link down and a number of peers that it serves at once.
    pub fn cannot(self, down: Option<f64>, slots: u32) -> Vec<&'static str> {
        let (limits_down, limits_slots) = match self {
            Self::Ours => (false, slots == OUR_SLOTS),
            Self::Aria2 => (true, false),
            _ => (true, true),
        };
        let mut missing = Vec::new();
        if down.is_some() && !limits_down {
            missing.push("limit its link down");
        }
        if !limits_slots {
            missing.push("choose how many peers it serves at once");
        }
        missing
    }

    /// How it is started for a job.
    pub fn command(self, job: &ClientJob<'_>) -> ClientCommand {
        match self {
            Self::Ours => ours(job),
            Self::Aria2 => aria2(job),
            Self::Transmission => transmission(job),
            Self::Qbittorrent => qbittorrent(job),
            Self::Rtorrent => rtorrent(job),
            Self::Libtorrent => libtorrent(job),
        }
    }
}

impl ClientCommand {
    fn new(arguments: impl IntoIterator<Item = String>) -> Self {
        Self {
            arguments: arguments.into_iter().map(OsString::from).collect(),
            files: Vec::new(),
            watched: None,
        }
    }
}

/// Bytes a second as the client wants them: whole KiB, at least one.
fn kib(rate: Option<f64>) -> Option<u64> {
    rate.map(|rate| ((rate / 1024.0).round() as u64).max(1))
}

fn ours(job: &ClientJob<'_>) -> ClientCommand {
    let text = |path: &Path| path.display().to_string();
    let mut words: Vec<String> = vec!["download".into(), text(job.torrent)];
    words.extend(["--output".into(), text(job.content), "--listen".into(), job.address.ip().to_string()]);
    words.extend(["--port".into(), job.address.port().to_string()]);
    words.extend(["--max-peers".into(), job.connections.to_string(), "--rounds".into(), "0".into()]);
    words.extend(["--no-dht", "--no-lsd", "--no-web-seeds", "--allow-local", "--quiet"].map(String::from));
    words.extend(["--encryption", "off", "--utp", "off"].map(String::from));
    if job.stays {
        words.push("--seed".into());
    }
    if let Some(up) = kib(job.up) {
        words.extend(["--upload-limit".into(), up.to_string()]);
    }
    if let Some(like) = job.like {
        words.extend(["--like".into(), text(like)]);
    }
    ClientCommand::new(words)
}

fn aria2(job: &ClientJob<'_>) -> ClientCommand {
    let mut words: Vec<String> = [
        "--no-conf",
        "--enable-dht=false",
        "--enable-dht6=false",
        "--bt-enable-lpd=false",
        "--enable-peer-exchange=false",
        "--disable-ipv6=true",
        "--check-integrity=true",
        "--allow-overwrite=true",
        // What is on disk tells how far it is.
        "--disk-cache=0",
        "--file-allocation=none",
        "--summary-interval=0",
        // The ratio of 1.0 that it has by itself would end a seed in the middle of a run.
        "--seed-ratio=0.0",
    ]
    .map(String::from)
    .into();
    words.push(format!("--seed-time={}", if job.stays { MINUTES } else { 0 }));
    words.push(format!("--interface={}", job.address.ip()));
    words.push(format!("--listen-port={}", job.address.port()));
    words.push(format!("--dir={}", job.content.display()));
    words.push(format!("--bt-max-peers={}", job.connections));
    words.extend(kib(job.up).map(|up| format!("--max-overall-upload-limit={up}K")));
    words.extend(kib(job.down).map(|down| format!("--max-overall-download-limit={down}K")));
    words.push(job.torrent.display().to_string());
    ClientCommand::new(words)
}

fn transmission(job: &ClientJob<'_>) -> ClientCommand {
    let limit = |name: &str, rate: Option<f64>| match kib(rate) {
        Some(rate) => format!("\"{name}\": {rate}, \"{name}-enabled\": true"),
        None => format!("\"{name}-enabled\": false"),
    };
    let watched = job.work.join("watched");
    let settings = format!(
        "{{ \"encryption\": 0, \"dht-enabled\": false, \"pex-enabled\": false, \"lpd-enabled\": false, \"utp-enabled\": false,\n\
         \"port-forwarding-enabled\": false, \"rpc-enabled\": false, \"start-added-torrents\": true, \"cache-size-mb\": 0,\n\
         \"peer-port\": {}, \"bind-address-ipv4\": \"{}\", \"bind-address-ipv6\": \"::1\",\n\
         \"peer-limit-per-torrent\": {}, \"peer-limit-global\": {}, \"upload-slots-per-torrent\": {},\n\
         \"rename-partial-files\": false, \"preallocation\": 0, \"ratio-limit-enabled\": false,\n\
         \"idle-seeding-limit-enabled\": false, {}, {},\n\
         \"watch-dir-enabled\": true, \"watch-dir\": {}, \"download-dir\": {} }}\n",
        job.address.port(),
        job.address.ip(),
        job.connections,
        job.connections,
        job.slots,
        limit("speed-limit-up", job.up),
        limit("speed-limit-down", job.down),
        quoted(&watched),
        quoted(job.content),
    );
    let mut command = ClientCommand::new(["-f".into(), "-g".into(), job.work.display().to_string()]);
    command.files.push((job.work.join("settings.json"), settings));
    command.watched = Some(watched);
    command
}

fn qbittorrent(job: &ClientJob<'_>) -> ClientCommand {
    let limit = |rate: Option<f64>| kib(rate).unwrap_or(0);
    // Its page is on its own address, so that two of one machine do not want one port.
    let settings = format!(
        "[LegalNotice]\nAccepted=true\n[Network]\nPortForwardingEnabled=false\n[Preferences]\nWebUI\\Address={ip}\n\
         WebUI\\Port=8080\nWebUI\\UseUPnP=false\n[BitTorrent]\nSession\\Encryption=2\nSession\\DHTEnabled=false\n\
         Session\\LSDEnabled=false\nSession\\PeXEnabled=false\nSession\\BTProtocol=TCP\nSession\\Port={port}\n\
         Session\\UseRandomPort=false\nSession\\QueueingSystemEnabled=false\nSession\\InterfaceAddress={ip}\n\
         Session\\Interface=\nSession\\IgnoreLimitsOnLAN=false\nSession\\GlobalUPSpeedLimit={up}\n\
         Session\\GlobalDLSpeedLimit={down}\nSession\\MaxConnectionsPerTorrent={connections}\n\
         Session\\MaxUploadsPerTorrent={slots}\nSession\\GlobalMaxRatio=-1\nSession\\DefaultSavePath={content}\n",
        ip = job.address.ip(),
        port = job.address.port(),
        up = limit(job.up),
        down = limit(job.down),
        connections = job.connections,
        slots = job.slots,
        content = job.content.display(),
    );
    let mut command = ClientCommand::new([
        format!("--profile={}", job.work.display()),
        "--skip-dialog=true".into(),
        "--add-paused=false".into(),
        format!("--save-path={}", job.content.display()),
        job.torrent.display().to_string(),
    ]);
    command.files.push((job.work.join("qBittorrent/config/qBittorrent.conf"), settings));
    command
}

fn rtorrent(job: &ClientJob<'_>) -> ClientCommand {
    let session = job.work.join("session");
    let limit = |rate: Option<f64>| kib(rate).unwrap_or(0);
    let settings = format!(
        "directory.default.set = {content}\nsession.path.set = {session}\nnetwork.port_range.set = {port}-{port}\n\
         network.port_random.set = no\nnetwork.bind_address.set = {ip}\ndht.mode.set = disable\nprotocol.pex.set = no\n\
         trackers.use_udp.set = no\nprotocol.encryption.set = none\nsystem.daemon.set = true\n\
         throttle.global_up.max_rate.set_kb = {up}\nthrottle.global_down.max_rate.set_kb = {down}\n\
         throttle.max_peers.normal.set = {connections}\nthrottle.max_peers.seed.set = {connections}\n\
         throttle.max_uploads.set = {slots}\nload.start = {torrent}\n",
        content = job.content.display(),
        session = session.display(),
        port = job.address.port(),
        ip = job.address.ip(),
        up = limit(job.up),
        down = limit(job.down),
        connections = job.connections,
        slots = job.slots,
        torrent = job.torrent.display(),
    );
    let file = job.work.join("rc");
    let mut command = ClientCommand::new(["-n".into(), "-o".into(), format!("import={}", file.display())]);
    command.files.push((file, settings));
    // Its folder has to be there.
    command.files.push((session.join("here"), String::new()));
    command
}

fn libtorrent(job: &ClientJob<'_>) -> ClientCommand {
    let rate = |rate: Option<f64>| (rate.unwrap_or(0.0) as u64).to_string();
    let mut command = ClientCommand::new(["-u".into(), "-c".into(), LIBTORRENT.into()]);
    command.arguments.extend([
        job.torrent.into(),
        job.content.into(),
        job.address.to_string().into(),
        rate(job.up).into(),
        rate(job.down).into(),
        job.connections.to_string().into(),
        job.slots.to_string().into(),
    ]);
    command
}

/// A path as a string of JSON.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A session with one torrent, until it is asked to end. Limits hold for neighbours, too, which are in a class without limits
/// otherwise.
const LIBTORRENT: &str = "\
import libtorrent as lt, signal, sys, time
torrent, folder, listen, up, down, connections, slots = sys.argv[1:]
ending = []
signal.signal(signal.SIGTERM, lambda *_: ending.append(True))
s = lt.session({'listen_interfaces': listen, 'outgoing_interfaces': listen.rsplit(':', 1)[0], 'enable_dht': False, 'enable_lsd': False, 'enable_upnp': False,
    'enable_natpmp': False, 'enable_outgoing_utp': False, 'enable_incoming_utp': False, 'in_enc_policy': 2,
    'out_enc_policy': 2, 'upload_rate_limit': int(up), 'download_rate_limit': int(down),
    'connections_limit': int(connections), 'unchoke_slots_limit': int(slots)})
everyone = lt.ip_filter()
everyone.add_rule('0.0.0.0', '255.255.255.255', 1 << lt.session.global_peer_class_id)
s.set_peer_class_filter(everyone)
p = lt.add_torrent_params()
p.ti = lt.torrent_info(torrent)
p.save_path = folder
p.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
p.flags |= lt.torrent_flags.disable_pex
t = s.add_torrent(p)
while not ending:
    time.sleep(0.1)
s.remove_torrent(t)
time.sleep(0.5)
";

/// How many peers this program serves at once: no option says another number.
const OUR_SLOTS: u32 = 5;

/// Longer than any run.
const MINUTES: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn words(client: Client, up: Option<f64>, stays: bool) -> String {
        let job = ClientJob {
            torrent: Path::new("/run/lab.torrent"),
            content: Path::new("/run/content"),
            work: Path::new("/run/work"),
            address: ([10, 77, 3, 1], 6881).into(),
            stays,
            up,
            down: None,
            connections: 40,
            slots: 4,
            like: None,
        };
        let command = client.command(&job);
        let words = command.arguments.iter().map(|word| word.to_string_lossy().into_owned());
        let files = command.files.into_iter().map(|(path, text)| format!("{}: {text}", path.display()));
        words.chain(files).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_limit_is_told_in_the_unit_of_the_client() {
        let has = |client, wanted: &str| {
            let told = words(client, Some(51_200.0), true);
            assert!(told.contains(wanted), "{told}");
            let free = words(client, None, true);
            assert!(!free.contains(wanted), "{free}");
        };
        has(Client::Ours, "--upload-limit 50");
        has(Client::Aria2, "--max-overall-upload-limit=50K");
        has(Client::Transmission, "\"speed-limit-up\": 50, \"speed-limit-up-enabled\": true");
        has(Client::Qbittorrent, "GlobalUPSpeedLimit=50\n");
        has(Client::Rtorrent, "throttle.global_up.max_rate.set_kb = 50\n");
        has(Client::Libtorrent, " 51200 0 40 4");
    }

    #[test]
    fn each_client_listens_at_its_address_and_knows_its_folders() {
        for client in [
            Client::Ours,
            Client::Aria2,
            Client::Transmission,
            Client::Qbittorrent,
            Client::Rtorrent,
            Client::Libtorrent,
        ] {
            let told = words(client, None, true);
            for wanted in ["10.77.3.1", "6881", "/run/content", "40"] {
                assert!(told.contains(wanted), "{client:?}: {wanted}: {told}");
            }
        }
    }

    #[test]
    fn what_a_client_has_no_option_for_is_told() {
        assert_eq!(Client::Ours.cannot(Some(5e4), 4).len(), 2);
        assert_eq!(Client::Ours.cannot(None, 5), [""; 0]);
        assert_eq!(Client::Aria2.cannot(Some(5e4), 5), ["choose how many peers it serves at once"]);
        assert_eq!(Client::Rtorrent.cannot(Some(5e4), 4), [""; 0]);
    }

    #[test]
    fn one_that_goes_when_it_is_done_is_told_so() {
        assert!(words(Client::Ours, None, true).contains("--seed"));
        assert!(!words(Client::Ours, None, false).contains("--seed"));
        assert!(words(Client::Aria2, None, false).contains("--seed-time=0"));
    }
}
