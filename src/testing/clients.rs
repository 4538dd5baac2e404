//! Real clients at work. Whether one is installed, [`programs`](crate::programs) tells.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bittrace_protocol::magnet::Magnet;

use crate::programs::{PYTHON, free_port};

/// A client at work; it ends with the test.
#[derive(Debug)]
pub struct RunningClient(Child);

impl Drop for RunningClient {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a client is told.
#[derive(Debug)]
pub struct ClientJob<'a> {
    /// The torrent file; or a magnet link.
    pub torrent: &'a Path,
    /// The folder that its content is in, or comes into.
    pub content: &'a Path,
    /// A folder for its settings.
    pub work: &'a Path,
    /// Where it listens, and whom it is to take for itself.
    pub address: SocketAddr,
    /// Whether its tracker is one over UDP.
    pub over_udp: bool,
    /// Whether it encrypts its connections to peers.
    pub encryption: ClientEncryption,
    /// What carries its connections to peers.
    pub transport: ClientTransport,
    /// The nodes of the DHT that it begins with; without one it does not use the DHT. qBittorrent takes nodes from a magnet link
    /// or the torrent alone.
    pub nodes: &'a [SocketAddr],
    /// Whether it looks for peers in the local network; rTorrent cannot.
    pub lsd: bool,
    /// Whether it exchanges addresses of peers with its peers; libtorrent always does.
    pub pex: bool,
}

impl<'a> ClientJob<'a> {
    /// A client that connects in clear over TCP, and hears of peers from trackers over HTTP alone.
    pub const fn new(torrent: &'a Path, content: &'a Path, work: &'a Path, address: SocketAddr) -> Self {
        Self {
            torrent,
            content,
            work,
            address,
            over_udp: false,
            encryption: ClientEncryption::Off,
            transport: ClientTransport::Tcp,
            nodes: &[],
            lsd: false,
            pex: false,
        }
    }

    const fn has_dht(&self) -> bool {
        !self.nodes.is_empty()
    }
}

/// What starts a client.
pub type StartClient = fn(&ClientJob<'_>) -> RunningClient;

/// What carries the connections of a client to peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientTransport {
    /// TCP alone.
    Tcp,
    /// uTP alone; with Transmission, which cannot do without TCP, uTP as well.
    Utp,
}

impl ClientTransport {
    /// The setting that stands for this.
    const fn choose<'a>(self, tcp: &'a str, utp: &'a str) -> &'a str {
        match self {
            Self::Tcp => tcp,
            Self::Utp => utp,
        }
    }
}

/// Whether a client encrypts its connections to peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientEncryption {
    /// Connections in clear alone.
    Off,
    /// RC4 alone: connections in clear, and a payload in clear, are refused.
    Rc4,
    /// Connections begin with a negotiation, which then has the payload in clear. qBittorrent has no such setting; Transmission
    /// offers RC4 alone, and takes plaintext where nothing else is offered.
    Plaintext,
}

impl ClientEncryption {
    /// The setting that stands for this.
    const fn choose<'a>(self, off: &'a str, rc4: &'a str, plaintext: &'a str) -> &'a str {
        match self {
            Self::Off => off,
            Self::Rc4 => rc4,
            Self::Plaintext => plaintext,
        }
    }
}

/// Starts a program here; what it says goes to a log in its folder.
///
/// # Panics
/// When it cannot be started.
pub fn start(command: &mut Command, work: &Path) -> RunningClient {
    let log = std::fs::File::create(work.join("log")).expect("a log can be made");
    let command =
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file can be shared")).stderr(log);
    RunningClient(command.env("HOME", work).spawn().expect("the program starts"))
}

impl ClientJob<'_> {
    fn start(&self, command: &mut Command) -> RunningClient {
        if self.address.ip() != ELSEWHERE {
            return start(command, self.work);
        }
        // A network namespace beside that of the test, and a wire between them.
        let script = "set -e; us=$1; address=$2; shift 2; ip link set lo up
            ip link add eth0 type veth peer name far netns $us
            ip address add $address/24 dev eth0
            ip link set eth0 up
            nsenter --net=/proc/$us/ns/net sh -ec \"ip link set far up; ip route add $address dev far\"
            exec \"$@\"";
        let mut elsewhere = Command::new("unshare");
        elsewhere.args(["--net", "sh", "-c", script, "sh", &std::process::id().to_string()]);
        elsewhere.arg(ELSEWHERE.to_string()).arg(command.get_program()).args(command.get_args());
        start(&mut elsewhere, self.work)
    }
}

/// Starts aria2, a downloader without a window.
///
/// # Panics
/// When it cannot be started.
pub fn aria2(job: &ClientJob<'_>) -> RunningClient {
    let mut command = Command::new("aria2c");
    command
        .args(["--no-conf", "--enable-dht6=false", "--check-integrity=true"])
        .args(["--seed-ratio=0.0", "--seed-time=600", "--file-allocation=none"])
        // Without DHT it asks no tracker over UDP.
        .arg(format!("--enable-dht={}", job.over_udp || job.has_dht()))
        .args(job.nodes.first().map(|node| format!("--dht-entry-point={node}")))
        .arg(format!("--dht-listen-port={}", job.address.port()))
        .arg(format!("--bt-enable-lpd={}", job.lsd))
        .arg(format!("--bt-lpd-interface={}", job.address.ip()))
        .arg(format!("--enable-peer-exchange={}", job.pex))
        .args(match job.encryption {
            ClientEncryption::Off => &[][..],
            ClientEncryption::Rc4 => &["--bt-force-encryption=true"],
            ClientEncryption::Plaintext => &["--bt-require-crypto=true", "--bt-min-crypto-level=plain"],
        })
        .arg(format!("--dht-file-path={}", job.work.join("dht").display()))
        .arg(format!("--disable-ipv6={}", job.address.is_ipv4()))
        .arg(format!("--interface={}", job.address.ip()))
        .arg(format!("--dir={}", job.content.display()))
        .arg(format!("--listen-port={}", job.address.port()))
        .arg(job.torrent);
    job.start(&mut command)
}

/// Starts Transmission's daemon.
///
/// # Panics
/// When it cannot be started.
pub fn transmission(job: &ClientJob<'_>) -> RunningClient {
    let watched = job.work.join("watched");
    std::fs::create_dir(&watched).expect("a folder can be made");
    let torrent = match job.torrent.to_string_lossy().parse::<Magnet>() {
        Ok(magnet) => transmissions_link(&magnet),
        Err(_) => std::fs::read(job.torrent).expect("a torrent can be read"),
    };
    std::fs::write(watched.join("it.torrent"), torrent).expect("a file can be written");
    let nodes: String = job.nodes.iter().map(|node| format!("{} {}\n", node.ip(), node.port())).collect();
    std::fs::write(job.work.join("dht.bootstrap"), nodes).expect("a file can be written");
    let settings = format!(
        r#"{{ "encryption": {}, "dht-enabled": {}, "pex-enabled": {}, "lpd-enabled": {}, "utp-enabled": {},
        "port-forwarding-enabled": false, "peer-port": {}, "rpc-enabled": false, "start-added-torrents": true,
        "bind-address-ipv4": "{}", "bind-address-ipv6": "::1", "cache-size-mb": 0, "watch-dir-enabled": true,
        "watch-dir": "{}", "download-dir": "{}" }}"#,
        job.encryption.choose("0", "2", "1"),
        job.has_dht(),
        job.pex,
        job.lsd,
        job.transport.choose("false", "true"),
        job.address.port(),
        job.address.ip(),
        watched.display(),
        job.content.display()
    );
    std::fs::write(job.work.join("settings.json"), settings).expect("a file can be written");
    job.start(Command::new("transmission-daemon").args(["-f", "-g"]).arg(job.work))
}

/// The file in which Transmission keeps a magnet link, and which it takes in place of a torrent.
fn transmissions_link(magnet: &Magnet) -> Vec<u8> {
    let mut file = b"d".to_vec();
    if let Some(tracker) = magnet.trackers.first() {
        file.extend(format!("8:announce{}:{tracker}", tracker.len()).into_bytes());
    }
    file.extend(b"11:magnet-infod9:info_hash20:");
    file.extend(magnet.hashes.handshake().0);
    file.extend(b"ee");
    file
}

/// Starts qBittorrent without a window.
///
/// # Panics
/// When it cannot be started.
pub fn qbittorrent(job: &ClientJob<'_>) -> RunningClient {
    let folder = job.work.join("qBittorrent/config");
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    let web = free_port();
    let settings = format!(
        "[LegalNotice]\nAccepted=true\n[Network]\nPortForwardingEnabled=false\n[Preferences]\n\
         WebUI\\Address=127.0.0.1\nWebUI\\Port={web}\nWebUI\\UseUPnP=false\n[BitTorrent]\nSession\\Encryption={encryption}\n\
         Session\\DHTEnabled={dht}\nSession\\LSDEnabled={lsd}\nSession\\PeXEnabled={pex}\nSession\\BTProtocol={transport}\n\
         Session\\Port={}\nSession\\UseRandomPort=false\nSession\\QueueingSystemEnabled=false\n\
         Session\\InterfaceAddress={}\nSession\\DefaultSavePath={}\n",
        job.address.port(),
        job.address.ip(),
        job.content.display(),
        dht = job.has_dht(),
        lsd = job.lsd,
        pex = job.pex,
        encryption = job.encryption.choose("2", "1", "1"),
        transport = job.transport.choose("TCP", "UTP"),
    );
    std::fs::write(folder.join("qBittorrent.conf"), settings).expect("a file can be written");
    let mut command = Command::new("qbittorrent-nox");
    command
        .arg(format!("--profile={}", job.work.display()))
        .args(["--skip-dialog=true", "--add-paused=false"]);
    job.start(command.arg(format!("--save-path={}", job.content.display())).arg(job.torrent))
}

/// Starts rTorrent.
///
/// # Panics
/// When it cannot be started.
pub fn rtorrent(job: &ClientJob<'_>) -> RunningClient {
    let session = job.work.join("session");
    std::fs::create_dir(&session).expect("a folder can be made");
    let mut settings = format!(
        "directory.default.set = {}\nsession.path.set = {}\nnetwork.port_range.set = {port}-{port}\n\
         network.port_random.set = no\nnetwork.bind_address.set = {host}\ndht.mode.set = {dht}\ndht.port.set = {port}\n\
         protocol.pex.set = {pex}\ntrackers.use_udp.set = yes\nprotocol.encryption.set = {encryption}\n\
         system.daemon.set = true\nload.start = {}\n",
        job.content.display(),
        session.display(),
        job.torrent.display(),
        port = job.address.port(),
        host = job.address.ip(),
        dht = if job.has_dht() { "on" } else { "disable" },
        pex = if job.pex { "yes" } else { "no" },
        encryption = job.encryption.choose(
            "none",
            "allow_incoming,try_outgoing,require,require_RC4",
            "allow_incoming,try_outgoing,require,prefer_plaintext"
        ),
    );
    for (number, node) in job.nodes.iter().enumerate() {
        let _ = writeln!(settings, "schedule2 = node_{number}, 2, 0, \"dht.add_node={node}\"");
    }
    std::fs::write(job.work.join("rc"), settings).expect("a file can be written");
    let import = format!("import={}", job.work.join("rc").display());
    job.start(Command::new("rtorrent").args(["-n", "-o", &import]))
}

/// Starts libtorrent, by its Python module.
///
/// # Panics
/// When it cannot be started.
pub fn libtorrent(job: &ClientJob<'_>) -> RunningClient {
    let script = "import libtorrent as lt, sys, time\n\
        address, torrent, folder = sys.argv[1:4]\n\
        settings = {'listen_interfaces': address, 'enable_upnp': False, 'enable_natpmp': False,\n\
        \x20 'allow_multiple_connections_per_ip': True}\n\
        for more in sys.argv[4:8]: settings.update(eval(more))\n\
        s = lt.session(settings)\n\
        for node in sys.argv[8:]:\n\
        \x20 s.add_dht_node((node.split(':')[0], int(node.split(':')[1])))\n\
        if torrent.startswith('magnet:'):\n\
        \x20 p = lt.parse_magnet_uri(torrent)\n\
        \x20 p.save_path = folder\n\
        \x20 s.add_torrent(p)\n\
        else:\n\
        \x20 s.add_torrent({'ti': lt.torrent_info(torrent), 'save_path': folder})\n\
        time.sleep(600)\n";
    let mut command = Command::new(PYTHON);
    command.args(["-c", script, &job.address.to_string()]).arg(job.torrent).arg(job.content);
    command.arg(job.encryption.choose(
        "{'in_enc_policy': 2, 'out_enc_policy': 2}",
        "{'in_enc_policy': 0, 'out_enc_policy': 0, 'allowed_enc_level': 2, 'prefer_rc4': True}",
        "{'in_enc_policy': 0, 'out_enc_policy': 0, 'allowed_enc_level': 1}",
    ));
    command.arg(job.transport.choose(
        "{'enable_outgoing_utp': False, 'enable_incoming_utp': False}",
        "{'enable_outgoing_tcp': False, 'enable_incoming_tcp': False}",
    ));
    command.arg(if job.has_dht() { DHT_OF_LIBTORRENT } else { "{'enable_dht': False}" });
    command.arg(if job.lsd { "{'enable_lsd': True}" } else { "{'enable_lsd': False}" });
    command.args(job.nodes.iter().map(SocketAddr::to_string));
    job.start(&mut command)
}

/// Starts nodes of the DHT, of libtorrent, each with the first one. They have no torrent.
///
/// # Panics
/// When they cannot be started.
pub fn dht_nodes(work: &Path, addresses: &[SocketAddr]) -> RunningClient {
    let script = "import libtorrent as lt, sys, time\n\
        sessions = []\n\
        first = sys.argv[2].split(':')\n\
        for address in sys.argv[2:]:\n\
        \x20 s = lt.session({'listen_interfaces': address, 'enable_lsd': False, 'enable_upnp': False, 'enable_natpmp': False,\n\
        \x20   **eval(sys.argv[1])})\n\
        \x20 s.add_dht_node((first[0], int(first[1])))\n\
        \x20 sessions.append(s)\n\
        time.sleep(600)\n";
    let mut command = Command::new(PYTHON);
    command.args(["-c", script, DHT_OF_LIBTORRENT]).args(addresses.iter().map(SocketAddr::to_string));
    start(&mut command, work)
}

/// Settings under which libtorrent uses the DHT among few nodes of one network.
const DHT_OF_LIBTORRENT: &str = "{'enable_dht': True, 'dht_bootstrap_nodes': '', 'dht_restrict_routing_ips': False, \
    'dht_restrict_search_ips': False, 'dht_enforce_node_id': False, 'dht_prefer_verified_node_ids': False}";

/// The address of a client in a namespace beside that of the test: some take no two peers of one address.
pub const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2));

/// The address of a namespace: Transmission takes none of the loopback network from a tracker.
pub const IN_NAMESPACE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1));
