//! `--record -` and `--record` into a named pipe: the recording goes to a program that reads it as the run goes on.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bittrace_testing::command::scratch_folder;
use bittrace_testing::peer::{HostilePeer, Misconduct};
use bittrace_testing::programs::{has_path, is_there, wait_until};
use bittrace_testing::torrent::SeededTorrent;
use bittrace_testing::tracker::ScriptedTracker;

use super::{bittrace, content, download, seeder, tracker, write_torrent};

/// A download into `folder/out` that runs beside the test.
fn start(torrent: &str, folder: &Path, more: &[&str]) -> Child {
    let out = folder.join("out").to_string_lossy().into_owned();
    let arguments =
        [&["download", torrent, "-o", &out, "--port", "0", "--listen", "127.0.0.1"][..], more].concat();
    bittrace_testing::command::bittrace(env!("CARGO_BIN_EXE_bittrace"), folder, &arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bittrace starts")
}

/// A torrent whose recording is longer than what a pipe holds and what may wait for its reader, with the tracker and the peer that
/// serve it.
fn large(folder: &Path) -> (String, ScriptedTracker, HostilePeer) {
    let (tracker, named) = ScriptedTracker::naming_later();
    let seed = SeededTorrent::single(&tracker.url(), 32 << 20, 256 * 1024);
    let peer = HostilePeer::start(&seed, Misconduct::None);
    named.lock().expect("nobody panics").push(peer.address);
    let path = folder.join("large.torrent");
    std::fs::write(&path, &*seed.torrent).expect("a torrent can be written");
    (path.to_string_lossy().into_owned(), tracker, peer)
}

/// Makes a named pipe, where the system has them.
fn make_pipe(path: &Path) -> bool {
    has_path("/bin/sh")
        && is_there("mkfifo")
        && Command::new("mkfifo").arg(path).status().is_ok_and(|status| status.success())
}

fn assert_whole(recording: &Path, torrent: &str) {
    let recording = recording.to_string_lossy();
    let analysis = bittrace(&["analyze", &recording, "--torrent", torrent, "--view", "summary"]);
    let analysis = String::from_utf8_lossy(&analysis.stdout).into_owned();
    assert!(analysis.contains("3 verified") && !analysis.contains("cut short"), "{analysis}");
}

#[test]
fn standard_output_has_the_recording_and_nothing_else() {
    let folder = scratch_folder();
    let torrent = write_torrent(folder.path(), tracker(vec![seeder(false)]));
    let out = folder.path().join("out");
    let (output, _) = download(&torrent, &out, &["--record", "-"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert_eq!(std::fs::read(out.join("file.bin")).expect("the file is there"), content());
    for says in ["complete: every piece is verified", "recording  ", "standard output"] {
        assert!(told.contains(says), "{says:?} is not told in\n{told}");
    }
    let recording = folder.path().join("recording");
    std::fs::write(&recording, &output.stdout).expect("a file can be written");
    assert_whole(&recording, &torrent);
}

#[test]
fn a_run_without_reader_of_its_standard_output_ends_quietly() {
    let folder = scratch_folder();
    let (torrent, _tracker, _peer) = large(folder.path());
    // It would seed until it is ended.
    let mut run = start(&torrent, folder.path(), &["-q", "--record", "-", "--seed"]);
    let mut recording = run.stdout.take().expect("it is a pipe");
    recording.read_exact(&mut [0; 100]).expect("the recording begins");
    drop(recording);
    let ended = run.wait_with_output().expect("the run ends");
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn a_pipe_is_written_as_soon_as_somebody_reads_it() {
    let folder = scratch_folder();
    let pipe = folder.path().join("pipe");
    if !make_pipe(&pipe) {
        return;
    }
    let torrent = write_torrent(folder.path(), tracker(vec![seeder(false)]));
    let mut run = start(&torrent, folder.path(), &["--record", &pipe.to_string_lossy()]);
    let mut errors = BufReader::new(run.stderr.take().expect("it is a pipe"));
    let mut line = String::new();
    errors.read_line(&mut line).expect("text");
    assert!(line.ends_with("waiting for a program that reads this pipe\n"), "{line}");
    let recording = folder.path().join("recording");
    std::io::copy(
        &mut File::open(&pipe).expect("the pipe can be read"),
        &mut File::create(&recording).expect("a file can be made"),
    )
    .expect("the recording is read to its end");
    assert_eq!(run.wait_with_output().expect("the run ends").status.code(), Some(0));
    assert_whole(&recording, &torrent);
}

#[test]
fn a_run_whose_pipe_is_left_says_so_and_goes_on() {
    let folder = scratch_folder();
    let pipe = folder.path().join("pipe");
    if !make_pipe(&pipe) {
        return;
    }
    let (torrent, _tracker, _peer) = large(folder.path());
    let run = start(&torrent, folder.path(), &["--record", &pipe.to_string_lossy()]);
    let mut reader = File::open(&pipe).expect("the pipe can be read");
    reader.read_exact(&mut [0; 100]).expect("the recording begins");
    drop(reader);
    let ended = run.wait_with_output().expect("the run ends");
    let told = String::from_utf8_lossy(&ended.stdout);
    assert!(told.contains("The recording ends here: the program that read it has gone"), "{told}");
    assert!(told.contains("complete: every piece is verified"), "{told}");
    assert_eq!(ended.status.code(), Some(0), "{told}");
    assert!(folder.path().join("out/file.bin").exists());
}

#[test]
fn a_killed_run_leaves_a_recording_of_what_was_said() {
    let folder = scratch_folder();
    let torrent = write_torrent(folder.path(), tracker(vec![seeder(false)]));
    let recording = folder.path().join("live.pcapng");
    let mut run = start(&torrent, folder.path(), &["-q", "--seed", "--record", &recording.to_string_lossy()]);
    let is_recorded = || {
        let analysis = bittrace(&["analyze", &recording.to_string_lossy(), "--torrent", &torrent]);
        String::from_utf8_lossy(&analysis.stdout).contains("3 verified")
    };
    // It writes down what was said while it goes on, and not at its end.
    wait_until("recording", &recording, is_recorded);
    assert!(run.try_wait().expect("it can be asked").is_none(), "the run has ended");
    run.kill().expect("it can be killed");
    run.wait().expect("it ends");
    assert_whole(&recording, &torrent);
}

#[test]
fn tshark_shows_messages_while_the_run_goes_on() {
    if !is_there("tshark") {
        return;
    }
    let folder = scratch_folder();
    let torrent = write_torrent(folder.path(), tracker(vec![seeder(false)]));
    // It seeds until it is ended: the messages come from a run that goes on.
    let mut run = start(&torrent, folder.path(), &["-q", "--record", "-", "--seed"]);
    let mut tshark = Command::new("tshark")
        .args([
            "-l",
            "-i",
            "-",
            "-Y",
            "bittorrent.piece.index",
            "-T",
            "fields",
            "-e",
            "bittorrent.piece.index",
        ])
        .stdin(run.stdout.take().expect("it is a pipe"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("tshark starts");
    let shown = BufReader::new(tshark.stdout.take().expect("it is a pipe"));
    let last_piece = shown.lines().map_while(Result::ok).find(|line| line.contains("0x00000002"));
    assert!(last_piece.is_some(), "tshark has ended without the last piece");
    assert!(run.try_wait().expect("it can be asked").is_none(), "the run has ended");
    run.kill().expect("it can be ended");
    run.wait().expect("it ends");
    tshark.wait().expect("it ends with its input");
}
