//! `bittrace extcap`: what Wireshark is told of the interfaces, and captures from them, by hand and by tshark.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use bittrace_testing::assert_printed;
use bittrace_testing::captures::captures_folder;
use bittrace_testing::clients::{ClientJob, aria2};
use bittrace_testing::command::{self, scratch_folder};
use bittrace_testing::programs::{free_port, has_path, is_there, wait_until};
use bittrace_testing::torrent::SeededTorrent;
use bittrace_testing::tracker::ScriptedTracker;

fn extcap(arguments: &[&str]) -> (i32, String, String) {
    let arguments = [&["extcap"][..], arguments].concat();
    command::run(&mut command::bittrace(env!("CARGO_BIN_EXE_bittrace"), Path::new("."), &arguments))
}

fn asked(arguments: &[&str]) -> String {
    let (code, answer, errors) = extcap(arguments);
    assert_eq!((code, errors.as_str()), (0, ""), "{arguments:?}");
    answer.replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

#[test]
fn interfaces_and_their_options_are_told_in_wiresharks_words() {
    let mut told = asked(&["--extcap-interfaces", "--extcap-version=4.0"]);
    for interface in ["bittrace-download", "bittrace-file"] {
        told.push_str(&asked(&["--extcap-interface", interface, "--extcap-dlts"]));
        told.push_str(&asked(&["--extcap-config", "--extcap-interface", interface]));
    }
    assert_printed!("extcap", "interfaces", told);
}

#[test]
fn what_cannot_be_captured_is_refused() {
    let filtered = ["--extcap-interface", "bittrace-file", "--extcap-capture-filter", "tcp"];
    assert!(asked(&filtered).contains("no capture filters"), "Wireshark takes any answer for a fault");
    assert_eq!(asked(&["--extcap-interface", "bittrace-file", "--extcap-capture-filter", ""]), "");
    let file = ["--extcap-interface", "bittrace-file", "--capture"];
    let download = ["--extcap-interface", "bittrace-download", "--capture", "--fifo", "no-such-pipe"];
    let with = |more: &[&'static str]| [&download[..], more].concat();
    for (arguments, says) in [
        (vec!["--extcap-interface", "eth0", "--extcap-dlts"], "unknown interface eth0"),
        (Vec::new(), "bittrace extcap --install"),
        (file.to_vec(), "--fifo"),
        ([&file[..], &["--fifo", "no-such-pipe"]].concat(), "no capture file was chosen"),
        (with(&[]), "no torrent was chosen"),
        (with(&["--torrent", "x.torrent"]), "no folder for the files was chosen"),
        (with(&["--extcap-capture-filter", "tcp"]), "no capture filters"),
    ] {
        let (code, output, errors) = extcap(&arguments);
        assert_eq!((code, output.as_str()), (2, ""), "{arguments:?}: {errors}");
        assert!(errors.contains(says), "{arguments:?}: {errors}");
    }
}

#[test]
fn the_script_starts_this_program_and_is_removed_again() {
    let folder = scratch_folder();
    let chosen = folder.path().join("wireshark's extcap");
    let named = chosen.to_string_lossy().into_owned();
    let (code, told, errors) = extcap(&["--install", "--folder", &named]);
    assert_eq!((code, errors.as_str()), (0, ""), "{told}");
    let scripts: Vec<_> = std::fs::read_dir(&chosen).expect("the folder is made").flatten().collect();
    let [script] = &scripts[..] else { panic!("{scripts:?}") };
    let output = Command::new(script.path()).arg("--extcap-interfaces").output().expect("the script starts");
    assert!(String::from_utf8_lossy(&output.stdout).contains("{value=bittrace-download}"), "{output:?}");
    // Once more takes its place, and another file does not go.
    assert_eq!(extcap(&["--install", "--folder", &named]).0, 0);
    assert_eq!(extcap(&["--uninstall", "--folder", &named]).0, 0);
    assert!(!script.path().exists());
    std::fs::write(script.path(), "another program").expect("a file can be written");
    for action in ["--install", "--uninstall"] {
        let (code, _, errors) = extcap(&[action, "--folder", &named]);
        assert_eq!(code, 2);
        assert!(errors.contains("is not a script of bittrace extcap --install"), "{errors}");
    }
    assert_eq!(std::fs::read(script.path()).expect("it is there"), b"another program");
}

#[test]
fn a_capture_file_is_played_into_the_pipe() {
    let folder = scratch_folder();
    let pipe = folder.path().join("pipe");
    let made = has_path("/bin/sh")
        && is_there("mkfifo")
        && Command::new("mkfifo").arg(&pipe).status().is_ok_and(|status| status.success());
    if !made {
        return;
    }
    let capture = captures_folder().join("download-aria2.pcap");
    let mut play = Command::new(env!("CARGO_BIN_EXE_bittrace"))
        .args(["extcap", "--capture", "--extcap-interface", "bittrace-file", "--speed", "0", "--fifo"])
        .arg(&pipe)
        .arg("--file")
        .arg(&capture)
        .stdin(Stdio::null())
        .spawn()
        .expect("bittrace starts");
    let mut played = Vec::new();
    std::fs::File::open(&pipe).expect("the pipe can be read").read_to_end(&mut played).expect("it ends");
    assert!(play.wait().expect("it ends").success());
    let mut original = bittrace_trace::Capture::open(&capture).expect("a capture");
    let mut copy = bittrace_trace::Capture::from_reader("played".to_owned(), std::io::Cursor::new(played))
        .expect("a capture");
    let mut packets = 0;
    while let Some(packet) = original.next_packet().expect("a packet") {
        let copy = copy.next_packet().expect("a packet").expect("as many packets");
        assert_eq!((copy.moment.at, copy.data), (packet.moment.at, packet.data));
        packets += 1;
    }
    assert!(packets > 100 && copy.next_packet().expect("the end").is_none());
}

/// tshark as a user that it lets choose the folder of its extcap programs: not root.
fn tshark(extcap_folder: &Path, home: &Path) -> Command {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.trim_ascii() == b"0");
    let mut command = match is_root {
        true => {
            let mut command = Command::new("runuser");
            command.args(["-u", "nobody", "--", "env"]);
            command
        }
        false => Command::new("env"),
    };
    command.arg(format!("WIRESHARK_EXTCAP_DIR={}", extcap_folder.display()));
    command.arg(format!("HOME={}", home.display())).arg("tshark").stdin(Stdio::null());
    command
}

/// Lets every user read and write here.
fn open_to_all(path: &Path) {
    let status = Command::new("chmod").args(["-R", "a+rwX"]).arg(path).status();
    assert!(status.is_ok_and(|status| status.success()));
}

#[test]
fn tshark_shows_a_download_from_aria2_as_it_runs() {
    if !["tshark", "aria2c", "runuser"].into_iter().all(is_there) {
        return;
    }
    let folder = scratch_folder();
    let place = |name: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).expect("a folder can be made");
        path
    };
    let (content, work, output, scripts, home) =
        (place("content"), place("work"), place("out"), place("extcap"), place("home"));
    let (tracker, named) = ScriptedTracker::naming_later();
    let seed =
        SeededTorrent::folder(&tracker.url(), &[("a.bin", 300_000), ("sub/b.bin", 150_001)], 64 * 1024);
    seed.write_files(&content);
    let torrent = folder.path().join("it.torrent");
    std::fs::write(&torrent, &*seed.torrent).expect("a file can be written");
    let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), free_port());
    let _client = aria2(&ClientJob::new(&torrent, &content, &work, address));
    wait_until("listening", &work.join("log"), || TcpStream::connect(address).is_ok());
    wait_until("announcing", &work.join("log"), || !tracker.requests().is_empty());
    named.lock().expect("nobody panics").push(address);

    assert_eq!(extcap(&["--install", "--folder", &scripts.to_string_lossy()]).0, 0);
    open_to_all(folder.path());
    let listed = tshark(&scripts, &home).arg("-D").output().expect("tshark starts");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("bittrace-download (BitTorrent download)"), "{listed}");

    let option = |name: &str, value: &str| format!("extcap.bittrace_download.{name}:{value}");
    let shown = tshark(&scripts, &home)
        .args(["-l", "-i", "bittrace-download", "-o", &option("torrent", &torrent.to_string_lossy())])
        .args(["-o", &option("output", &output.to_string_lossy()), "-o", &option("listen", "127.0.0.1")])
        .args([
            "-Y",
            "bittorrent.piece.index && bittorrent.piece.data",
            "-T",
            "fields",
            "-e",
            "bittorrent.piece.index",
        ])
        .output()
        .expect("tshark starts");
    let (pieces, errors) = (String::from_utf8_lossy(&shown.stdout), String::from_utf8_lossy(&shown.stderr));
    assert!(shown.status.success(), "{errors}");
    seed.assert_whole(&output);
    for piece in 0..seed.piece_count() {
        assert!(
            pieces.contains(&format!("0x{piece:08x}")),
            "piece {piece} is not shown in\n{pieces}\n{errors}"
        );
    }
}
