//! How a run ends, and that nothing of a client outlives it.

use bittrace_testing::programs::{has_path, is_there};

use crate::run;

#[test]
fn a_client_that_dies_ends_the_run_with_what_was_seen() {
    if !has_path("/bin/sh") {
        return;
    }
    let (code, printed, errors) =
        run(&["replay", "download-aria2.pcap", "--", "/bin/sh", "-c", "echo oh dear >&2; exit 3"]);
    assert_eq!(code, 1, "{errors}");
    assert!(errors.contains("exit status: 3") && errors.contains("oh dear"), "{errors}");
    assert!(printed.contains("35 missing"), "{printed}");
}

#[test]
fn what_a_client_leaves_behind_is_ended_too() {
    if !has_path("/bin/sh") || !has_path("/proc/self/stat") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("pid");
    let script = format!("sleep 600 & echo $! > '{}'; exit 0", mark.display());
    let (code, ..) = run(&["replay", "download-aria2.pcap", "-q", "--", "/bin/sh", "-c", &script]);
    assert_eq!(code, 1);
    let pid = std::fs::read_to_string(mark).unwrap();
    assert!(!runs(pid.trim()), "{pid}");
}

/// Whether a process runs: it is not gone, and has not ended without being waited for.
fn runs(process: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    !status.is_empty() && !status.contains(") Z ")
}

#[cfg(target_os = "linux")]
#[test]
fn a_client_and_its_children_end_with_bittrace_however_that_ends() {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use bittrace_testing::command;

    use crate::{BITTRACE, capture};

    // The last child leaves the process group and session, as a program does that goes to the background.
    let script = "echo $$ >> pids; sleep 600 & echo $! >> pids; setsid sh -c 'echo $$ >> pids; sleep 600' & \
                  trap '' INT TERM; sleep 600";
    // Killed, interrupted twice, and with a client that ends before its children.
    for (signals, script) in [
        (&["KILL"][..], script.to_owned()),
        (&["INT", "INT"], script.to_owned()),
        (&[], script.replace("trap '' INT TERM; sleep 600", "sleep 0.5")),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let pids = folder.path().join("pids");
        let arguments = ["replay", &capture("download-aria2.pcap"), "-q", "--", "/bin/sh", "-c"];
        let script = script.replace("pids", &pids.display().to_string());
        let mut command =
            command::bittrace(BITTRACE, folder.path(), &[&arguments[..], &[script.as_str()]].concat());
        let mut replay = command.spawn().unwrap();
        let limit = Instant::now() + Duration::from_secs(30);
        let started = || std::fs::read_to_string(&pids).unwrap_or_default();
        while started().lines().count() < 3 {
            assert!(Instant::now() < limit, "the client did not start: {}", started());
            std::thread::sleep(Duration::from_millis(20));
        }
        for signal in signals {
            let sent = Command::new("kill").args(["-s", signal, &replay.id().to_string()]).status().unwrap();
            assert!(sent.success());
            std::thread::sleep(Duration::from_millis(300));
        }
        replay.wait().unwrap();
        while started().lines().any(runs) {
            assert!(Instant::now() < limit, "{signals:?}: {} run on", started());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The exit code, standard output and standard error of a replay that is interrupted as soon as that `is_time`.
#[cfg(target_os = "linux")]
fn interrupted(
    folder: &std::path::Path,
    arguments: &[&str],
    is_time: impl Fn() -> bool,
) -> (i32, String, String) {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    let mut replay = bittrace_testing::command::bittrace(crate::BITTRACE, folder, arguments);
    let replay = replay.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let limit = Instant::now() + Duration::from_secs(30);
    while !is_time() {
        assert!(Instant::now() < limit, "the client did not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    let sent = Command::new("kill").args(["-s", "INT", &replay.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = replay.wait_with_output().unwrap();
    let [printed, errors] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.code().unwrap(), printed, errors)
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_that_is_broken_off_says_so_and_what_was_kept() {
    use crate::{BITTRACE, capture};

    let folder = tempfile::tempdir().unwrap();
    let (mark, recording) = (folder.path().join("mark"), folder.path().join("run.pcapng"));
    let capture = capture("download-transmission.pcap");
    let script = format!("touch '{}'; exec sleep 600", mark.display());
    for (more, said) in [
        (
            &[][..],
            "the run was broken off with Ctrl-C before the client had a connection with a replayed peer: nothing was compared; nothing is kept, as --record names no file",
        ),
        (&["--record", "run.pcapng"], "nothing was compared; the recording up to then is in run.pcapng"),
        (
            &["--disturb", "drop"],
            "broken off with Ctrl-C in the run without a disturbance, which is not judged; what is shown is of 0 runs before",
        ),
        (
            &["--record", "run.pcapng", "--disturb", "drop", "--html", "runs.html"],
            "0 runs before; nothing is kept, as --record keeps the run with the disturbance",
        ),
    ] {
        let _ = std::fs::remove_file(&mark);
        let arguments = [&["replay", &capture][..], more, &["--", "/bin/sh", "-c", &script]].concat();
        let (code, printed, errors) = interrupted(folder.path(), &arguments, || mark.exists());
        assert_eq!(code, 130, "{errors}");
        assert!(errors.contains(said), "{errors}");
        assert_eq!(printed.contains("No run was judged."), more.contains(&"--html"), "{printed}");
    }
    // A client that has downloaded everything and goes on: the run would end three seconds later.
    let client =
        ["--", BITTRACE, "download", "-o", "{dir}", "--port", "{port}", "--listen", "127.0.0.1", "--seed"];
    let arguments =
        [&["replay", &capture, "--record", "run.pcapng"][..], &client, &["-q", "{torrent}"]].concat();
    std::fs::remove_file(&recording).unwrap();
    let is_recorded = || std::fs::metadata(&recording).is_ok_and(|found| found.len() > 200_000);
    let (code, _, errors) = interrupted(folder.path(), &arguments, is_recorded);
    assert_eq!(code, 130, "{errors}");
    let wanted =
        "what the client had not sent by then is shown as missing; the recording up to then is in run.pcapng";
    assert!(errors.contains(wanted), "{errors}");
    let (code, _, errors) = run(&["analyze", &recording.display().to_string(), "-q"]);
    assert_eq!(code, 0, "{errors}");
}

#[test]
fn a_client_that_never_reads_has_not_completed() {
    let script = "import sys, time\ntime.sleep(0.2)\n";
    let client = ["/usr/bin/env", "python3", "-c", script];
    if !is_there("python3") {
        return;
    }
    let arguments =
        [&["replay", "download-transmission.pcap", "--disturb", "overlong=4", "--"][..], &client].concat();
    let (code, printed, _) = run(&arguments);
    assert_eq!(code, 1, "{printed}");
    assert!(printed.contains("not reached"), "{printed}");
}

#[test]
fn a_client_that_says_nothing_is_ended() {
    if !has_path("/bin/sh") {
        return;
    }
    let (code, printed, _) =
        run(&["replay", "download-aria2.pcap", "--timeout", "1", "--", "/bin/sh", "-c", "sleep 600"]);
    assert_eq!(code, 1);
    assert!(printed.contains("the client sent nothing for 1 s"), "{printed}");
}
