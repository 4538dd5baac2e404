//! Real clients, and what tests need to run them. A client that is not installed is skipped, and told of; with
//! `BITTRACE_REQUIRE_CLIENTS` set that is a failure.

#![allow(clippy::print_stderr, reason = "a test tells why it does nothing")]

use std::net::{IpAddr, Ipv4Addr, TcpListener};
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
    pub port: u16,
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// Whether a program is there; if not, that is told or is a failure.
pub fn is_there(program: &str) -> bool {
    if find(program).is_some() {
        return true;
    }
    assert!(std::env::var_os("BITTRACE_REQUIRE_CLIENTS").is_none(), "{program} is not installed");
    eprintln!("skipped: {program} is not installed");
    false
}

fn start(command: &mut Command, work: &Path) -> Client {
    let log = std::fs::File::create(work.join("log")).unwrap();
    let command = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    Client(command.env("HOME", work).spawn().unwrap())
}

pub fn aria2(job: &Job<'_>) -> Client {
    let mut command = Command::new("aria2c");
    command
        .args(["--no-conf", "--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false"])
        .args(["--enable-peer-exchange=false", "--disable-ipv6=true", "--check-integrity=true"])
        .args(["--seed-ratio=0.0", "--seed-time=600", "--interface=127.0.0.1", "--file-allocation=none"])
        .arg(format!("--dir={}", job.content.display()))
        .arg(format!("--listen-port={}", job.port))
        .arg(job.torrent);
    start(&mut command, job.work)
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
        job.port,
        host(),
        watched.display(),
        job.content.display()
    );
    std::fs::write(job.work.join("settings.json"), settings).unwrap();
    start(Command::new("transmission-daemon").args(["-f", "-g"]).arg(job.work), job.work)
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
         Session\\InterfaceAddress=127.0.0.1\nSession\\DefaultSavePath={}\n",
        job.port,
        job.content.display()
    );
    std::fs::write(folder.join("qBittorrent.conf"), settings).unwrap();
    let mut command = Command::new("qbittorrent-nox");
    command
        .arg(format!("--profile={}", job.work.display()))
        .args(["--skip-dialog=true", "--add-paused=false"]);
    start(command.arg(format!("--save-path={}", job.content.display())).arg(job.torrent), job.work)
}

pub fn rtorrent(job: &Job<'_>) -> Client {
    let session = job.work.join("session");
    std::fs::create_dir(&session).unwrap();
    let settings = format!(
        "directory.default.set = {}\nsession.path.set = {}\nnetwork.port_range.set = {port}-{port}\n\
         network.port_random.set = no\nnetwork.bind_address.set = 127.0.0.1\ndht.mode.set = disable\n\
         protocol.pex.set = no\ntrackers.use_udp.set = no\nprotocol.encryption.set = none\n\
         system.daemon.set = true\nload.start = {}\n",
        job.content.display(),
        session.display(),
        job.torrent.display(),
        port = job.port,
    );
    std::fs::write(job.work.join("rc"), settings).unwrap();
    start(
        Command::new("rtorrent").args(["-n", "-o"]).arg(format!("import={}", job.work.join("rc").display())),
        job.work,
    )
}

pub fn libtorrent(job: &Job<'_>) -> Client {
    let script = "import libtorrent as lt, sys, time\n\
        s = lt.session({'listen_interfaces': '127.0.0.1:' + sys.argv[1], 'enable_dht': False, 'enable_lsd': False,\n\
        \x20 'enable_upnp': False, 'enable_natpmp': False, 'in_enc_policy': 2, 'out_enc_policy': 2,\n\
        \x20 'enable_outgoing_utp': False, 'enable_incoming_utp': False, 'allow_multiple_connections_per_ip': True})\n\
        s.add_torrent({'ti': lt.torrent_info(sys.argv[2]), 'save_path': sys.argv[3]})\n\
        time.sleep(600)\n";
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", script, &job.port.to_string()]).arg(job.torrent).arg(job.content);
    start(&mut command, job.work)
}

/// The address of both ends. Some clients take none of the loopback network from a tracker: for those it is another one,
/// in a network namespace.
pub fn host() -> IpAddr {
    std::env::var("BITTRACE_TEST_HOST").map_or(Ipv4Addr::LOCALHOST.into(), |host| host.parse().unwrap())
}

/// Runs another test of this file in a network namespace of its own, which has one more address and no way out.
pub fn in_a_namespace(test: &str) {
    let commands = "ip link set lo up && ip address add 10.77.0.1/24 dev lo && exec \"$0\" \"$@\"";
    let status = Command::new("unshare")
        .args(["--net", "--map-root-user", "sh", "-c", commands])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env("BITTRACE_TEST_HOST", "10.77.0.1")
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
