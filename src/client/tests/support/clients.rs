//! Real clients, and what tests need to run them. A client that is not installed is skipped, and told of; with
//! `BITTRACE_REQUIRE_CLIENTS` set that is a failure.

#![allow(clippy::print_stderr, reason = "a test tells why it does nothing")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bittrace_protocol::session::{Config, Profile};

use super::Seed;

/// A client at work; it ends with the test.
pub struct Client(Child);

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a client is told.
pub struct Job<'a> {
    pub torrent: &'a Path,
    /// The folder that its content is in, or comes into.
    pub content: &'a Path,
    /// A folder for its settings.
    pub work: &'a Path,
    /// Where it listens, and whom it is to take for itself.
    pub address: SocketAddr,
    /// Whether its tracker is one over UDP.
    pub over_udp: bool,
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// Whether a program is there; if not, that is told or is a failure. `libtorrent` is a module of the system's Python.
pub fn is_there(program: &str) -> bool {
    let is_there = match program {
        "libtorrent" => {
            let import =
                Command::new(PYTHON).args(["-c", "import libtorrent"]).stderr(Stdio::null()).status();
            import.is_ok_and(|status| status.success())
        }
        _ => find(program).is_some(),
    };
    is_there || skip(&format!("{program} is not installed"))
}

/// Whether network namespaces with a tracker in them can be made, which takes the rights of root.
pub fn can_make_namespaces() -> bool {
    (is_root() || skip("only root can run a tracker in a network namespace"))
        && ["unshare", "nsenter", "ip"].into_iter().all(is_there)
}

pub fn has_ipv6() -> bool {
    TcpListener::bind("[::1]:0").is_ok() || skip("this machine has no IPv6")
}

/// Tells why a test does nothing, or fails where it must not.
fn skip(why: &str) -> bool {
    assert!(std::env::var_os("BITTRACE_REQUIRE_CLIENTS").is_none(), "{why}");
    eprintln!("skipped: {why}");
    false
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Starts a program here; what it says goes to a log in its folder.
pub fn start(command: &mut Command, work: &Path) -> Client {
    let log = std::fs::File::create(work.join("log")).unwrap();
    let command = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    Client(command.env("HOME", work).spawn().unwrap())
}

impl Job<'_> {
    fn start(&self, command: &mut Command) -> Client {
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

pub fn aria2(job: &Job<'_>) -> Client {
    let mut command = Command::new("aria2c");
    command
        .args(["--no-conf", "--enable-dht6=false", "--bt-enable-lpd=false"])
        .args(["--enable-peer-exchange=false", "--check-integrity=true"])
        .args(["--seed-ratio=0.0", "--seed-time=600", "--file-allocation=none"])
        // Without DHT it asks no tracker over UDP; it knows no node.
        .arg(format!("--enable-dht={}", job.over_udp))
        .arg(format!("--dht-file-path={}", job.work.join("dht").display()))
        .arg(format!("--disable-ipv6={}", job.address.is_ipv4()))
        .arg(format!("--interface={}", job.address.ip()))
        .arg(format!("--dir={}", job.content.display()))
        .arg(format!("--listen-port={}", job.address.port()))
        .arg(job.torrent);
    job.start(&mut command)
}

pub fn transmission(job: &Job<'_>) -> Client {
    let watched = job.work.join("watched");
    std::fs::create_dir(&watched).unwrap();
    std::fs::copy(job.torrent, watched.join("it.torrent")).unwrap();
    let settings = format!(
        r#"{{ "encryption": 0, "dht-enabled": false, "pex-enabled": false, "lpd-enabled": false, "utp-enabled": false,
        "port-forwarding-enabled": false, "peer-port": {}, "rpc-enabled": false, "start-added-torrents": true,
        "bind-address-ipv4": "{}", "bind-address-ipv6": "::1", "cache-size-mb": 0, "watch-dir-enabled": true,
        "watch-dir": "{}", "download-dir": "{}" }}"#,
        job.address.port(),
        job.address.ip(),
        watched.display(),
        job.content.display()
    );
    std::fs::write(job.work.join("settings.json"), settings).unwrap();
    job.start(Command::new("transmission-daemon").args(["-f", "-g"]).arg(job.work))
}

pub fn qbittorrent(job: &Job<'_>) -> Client {
    let folder = job.work.join("qBittorrent/config");
    std::fs::create_dir_all(&folder).unwrap();
    let web = free_port();
    let settings = format!(
        "[LegalNotice]\nAccepted=true\n[Network]\nPortForwardingEnabled=false\n[Preferences]\n\
         WebUI\\Address=127.0.0.1\nWebUI\\Port={web}\nWebUI\\UseUPnP=false\n[BitTorrent]\nSession\\Encryption=2\n\
         Session\\DHTEnabled=false\nSession\\LSDEnabled=false\nSession\\PeXEnabled=false\nSession\\BTProtocol=TCP\n\
         Session\\Port={}\nSession\\UseRandomPort=false\nSession\\QueueingSystemEnabled=false\n\
         Session\\InterfaceAddress={}\nSession\\DefaultSavePath={}\n",
        job.address.port(),
        job.address.ip(),
        job.content.display()
    );
    std::fs::write(folder.join("qBittorrent.conf"), settings).unwrap();
    let mut command = Command::new("qbittorrent-nox");
    command
        .arg(format!("--profile={}", job.work.display()))
        .args(["--skip-dialog=true", "--add-paused=false"]);
    job.start(command.arg(format!("--save-path={}", job.content.display())).arg(job.torrent))
}

pub fn rtorrent(job: &Job<'_>) -> Client {
    let session = job.work.join("session");
    std::fs::create_dir(&session).unwrap();
    let settings = format!(
        "directory.default.set = {}\nsession.path.set = {}\nnetwork.port_range.set = {port}-{port}\n\
         network.port_random.set = no\nnetwork.bind_address.set = {host}\ndht.mode.set = disable\n\
         protocol.pex.set = no\ntrackers.use_udp.set = yes\nprotocol.encryption.set = none\n\
         system.daemon.set = true\nload.start = {}\n",
        job.content.display(),
        session.display(),
        job.torrent.display(),
        port = job.address.port(),
        host = job.address.ip(),
    );
    std::fs::write(job.work.join("rc"), settings).unwrap();
    let import = format!("import={}", job.work.join("rc").display());
    job.start(Command::new("rtorrent").args(["-n", "-o", &import]))
}

pub fn libtorrent(job: &Job<'_>) -> Client {
    let script = "import libtorrent as lt, sys, time\n\
        s = lt.session({'listen_interfaces': sys.argv[1], 'enable_dht': False, 'enable_lsd': False,\n\
        \x20 'enable_upnp': False, 'enable_natpmp': False, 'in_enc_policy': 2, 'out_enc_policy': 2,\n\
        \x20 'enable_outgoing_utp': False, 'enable_incoming_utp': False, 'allow_multiple_connections_per_ip': True})\n\
        s.add_torrent({'ti': lt.torrent_info(sys.argv[2]), 'save_path': sys.argv[3]})\n\
        time.sleep(600)\n";
    let mut command = Command::new(PYTHON);
    command.args(["-c", script, &job.address.to_string()]).arg(job.torrent).arg(job.content);
    job.start(&mut command)
}

/// The address of a client in a namespace beside that of the test: some take no two peers of one address.
pub const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2));

/// The address of a namespace: Transmission takes none of the loopback network from a tracker.
pub const IN_NAMESPACE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1));

/// Whether this is a test that another one runs in a network namespace.
pub fn is_in_a_namespace() -> bool {
    std::env::var_os(IN_A_NAMESPACE).is_some()
}

/// Runs a test of this file in a network namespace of its own, which has this address and no way out.
pub fn in_a_namespace(test: &str) {
    let commands = "ip link set lo up && ip address add 10.77.0.1 dev lo && exec \"$0\" \"$@\"";
    let rights: &[&str] = if is_root() { &[] } else { &["--map-root-user"] };
    let status = Command::new("unshare")
        .args([&["--net"], rights, &["sh", "-c", commands]].concat())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--include-ignored", "--nocapture"])
        .env(IN_A_NAMESPACE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub fn write_content(seed: &Seed, folder: &Path) {
    for (path, bytes) in &seed.files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

pub fn patient() -> Config {
    Config { goodbye_timeout: Duration::from_secs(1), ..Config::new(Profile::own("bittrace test")) }
}

/// Waits for what is not ours to signal.
pub fn wait_until(what: &str, log: &Path, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        if started.elapsed() > Duration::from_secs(60) {
            panic!("{what} takes too long:\n{}", std::fs::read_to_string(log).unwrap_or_default());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

const PYTHON: &str = "/usr/bin/python3";
const IN_A_NAMESPACE: &str = "BITTRACE_TEST_IN_A_NAMESPACE";
