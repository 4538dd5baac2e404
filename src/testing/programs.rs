//! Programs that tests run or compare with, and network namespaces for them. What is missing is told and skipped; with
//! `BITTRACE_REQUIRE_CLIENTS` set, as in CI, that is a failure.

#![allow(clippy::print_stderr, reason = "a test tells why it does nothing")]

use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Whether a program is there; if not, that is told or is a failure. `libtorrent` is a module of the system's Python.
///
/// # Panics
/// When it is not there and must be.
pub fn is_there(program: &str) -> bool {
    let is_there = match program {
        "libtorrent" => {
            let import =
                Command::new(PYTHON).args(["-c", "import libtorrent"]).stderr(Stdio::null()).status();
            import.is_ok_and(|status| status.success())
        }
        _ => std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file())),
    };
    is_there || skip(&format!("{program} is not installed"))
}

/// Whether this system has a file or a device that not all systems have, such as `/bin/sh`.
///
/// # Panics
/// When it has not and must have.
pub fn has_path(path: &str) -> bool {
    Path::new(path).exists() || skip(&format!("this system has no {path}"))
}

/// Whether network namespaces with a tracker in them can be made, which takes the rights of root.
///
/// # Panics
/// When they cannot be made and must be.
pub fn can_make_namespaces() -> bool {
    (is_root() || skip("only root can run a tracker in a network namespace"))
        && ["unshare", "nsenter", "ip"].into_iter().all(is_there)
}

/// Whether this machine has IPv6.
///
/// # Panics
/// When it has not and must have.
pub fn has_ipv6() -> bool {
    TcpListener::bind("[::1]:0").is_ok() || skip("this machine has no IPv6")
}

/// Tells why a test does nothing. It is `false`.
///
/// # Panics
/// Where nothing may be missing.
pub fn skip(why: &str) -> bool {
    assert!(std::env::var_os("BITTRACE_REQUIRE_CLIENTS").is_none(), "{why}");
    eprintln!("skipped: {why}");
    false
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").stderr(Stdio::null()).output();
    id.is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}

/// Whether this is a test that another one runs in a network namespace.
pub fn is_in_a_namespace() -> bool {
    std::env::var_os(IN_A_NAMESPACE).is_some()
}

/// Runs a test of this file in a network namespace of its own, which has this address and no way out.
///
/// # Panics
/// When the test fails there.
pub fn in_a_namespace(test: &str) {
    in_a_namespace_with_names(test, "");
}

/// As [`in_a_namespace`], with these lines in place of the system's hosts file, and 10.77.0.5 as a second address.
///
/// # Panics
/// When the test fails there.
pub fn in_a_namespace_with_names(test: &str, hosts: &str) {
    let commands = "ip link set lo up && ip address add 10.77.0.1 dev lo && ip address add 10.77.0.5 dev lo
        if [ -n \"$HOSTS\" ]; then mount --bind \"$HOSTS\" /etc/hosts || exit 1; fi
        exec \"$0\" \"$@\"";
    let mut file = tempfile::NamedTempFile::new().expect("a file can be made");
    file.write_all(hosts.as_bytes()).expect("a file can be written");
    let path = if hosts.is_empty() { "".as_ref() } else { file.path() };
    let rights: &[&str] = if is_root() { &[] } else { &["--map-root-user"] };
    let status = Command::new("unshare")
        .args([&["--net", "--mount"], rights, &["sh", "-c", commands]].concat())
        .arg(std::env::current_exe().expect("a test is a program"))
        .args(["--exact", test, "--include-ignored", "--nocapture"])
        .env(IN_A_NAMESPACE, "1")
        .env("HOSTS", path)
        .status()
        .expect("unshare starts");
    assert!(status.success(), "{status}");
}

/// A port on which nobody listens now.
///
/// # Panics
/// When none is free.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port is free")
        .port()
}

/// Waits for what is not ours to signal.
///
/// # Panics
/// After two minutes, with what the log says: some clients dial again after one when a negotiation failed.
pub fn wait_until(what: &str, log: &Path, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        if started.elapsed() > Duration::from_secs(120) {
            panic!("{what} takes too long:\n{}", std::fs::read_to_string(log).unwrap_or_default());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The system's Python, which has the module libtorrent where that is installed.
pub const PYTHON: &str = "/usr/bin/python3";
const IN_A_NAMESPACE: &str = "BITTRACE_TEST_IN_A_NAMESPACE";
