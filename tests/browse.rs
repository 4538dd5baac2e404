//! `bittrace browse` in a real terminal: tmux is one, and what it shows can be read.

use std::path::Path;
use std::process::{Command, Output};

use bittrace_testing::captures::captures_folder;
use bittrace_testing::command;
use bittrace_testing::programs::{is_there, wait_until};

/// A terminal of its own server, which ends with it.
struct Tmux {
    folder: tempfile::TempDir,
}

impl Tmux {
    /// Runs a shell's line in a terminal of 100 columns and 30 rows.
    fn run(line: &str) -> Self {
        let tmux = Self { folder: command::scratch_folder() };
        let started = tmux.call(&["-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "30", line]);
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        tmux
    }

    fn call(&self, arguments: &[&str]) -> Output {
        let socket = self.folder.path().join("socket");
        Command::new("tmux")
            .arg("-S")
            .arg(socket)
            .args(arguments)
            .env("LC_ALL", "C.UTF-8")
            .env_remove("TMUX")
            .env_remove("NO_COLOR")
            .output()
            .expect("tmux runs")
    }

    fn screen(&self) -> String {
        String::from_utf8_lossy(&self.call(&["capture-pane", "-p"]).stdout).into_owned()
    }

    fn press(&self, keys: &[&str]) {
        self.call(&[&["send-keys"], keys].concat());
    }

    fn wait_for(&self, text: &str) {
        wait_until(&format!("the screen with {text}"), Path::new(""), || self.screen().contains(text));
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.call(&["kill-server"]);
    }
}

fn browse(arguments: &str) -> String {
    format!(
        "{} browse {arguments}; echo \"ended with $?\"; stty -a | tr -d '\\n'; sleep 60",
        env!("CARGO_BIN_EXE_bittrace")
    )
}

#[test]
fn a_capture_is_browsed_in_a_terminal_which_is_given_back() {
    if !is_there("tmux") {
        return;
    }
    let capture = captures_folder().join("corrupt-peer.pcap.gz");
    let torrent = captures_folder().join("corrupt-peer.torrent");
    let tmux = Tmux::run(&browse(&format!("{} --torrent {}", capture.display(), torrent.display())));
    tmux.wait_for("announce-request started");
    tmux.press(&["n", "n"]);
    tmux.wait_for("SHA-1 is wrong");
    tmux.press(&["/", "message == piece", "Enter"]);
    tmux.wait_for("of 22");
    tmux.press(&["4"]);
    tmux.wait_for("bep3.piece-corrupt");
    tmux.press(&["Enter"]);
    tmux.wait_for("1 of 6");
    tmux.press(&["C-c"]);
    tmux.wait_for("ended with 0");
    tmux.wait_for(" icanon");
}

#[test]
fn a_pipe_is_shown_as_it_comes_and_a_signal_gives_the_terminal_back() {
    if !is_there("tmux") {
        return;
    }
    let capture = captures_folder().join("download-aria2.pcap");
    let bittrace = env!("CARGO_BIN_EXE_bittrace");
    // The pipe stays open: what came is shown all the same.
    let line = format!(
        "(cat {}; sleep 60) | {{ {bittrace} browse - & echo $! > pid; wait $!; echo \"ended with $?\"; stty -a </dev/tty | tr -d '\\n'; }}",
        capture.display()
    );
    // Jobs of a shell without job control have no standard input: the browser is to have the pipe.
    let line = line.replace("browse - &", "browse - <&3 &").replace("| {", "| { exec 3<&0;");
    let tmux = Tmux::run(&format!("cd {} && {line}; sleep 60", env!("CARGO_TARGET_TMPDIR")));
    tmux.wait_for("so far");
    tmux.press(&["G"]);
    tmux.wait_for("58 of 58");
    let pid = std::fs::read_to_string(Path::new(env!("CARGO_TARGET_TMPDIR")).join("pid"))
        .expect("the shell wrote it");
    let ended = Command::new("kill").arg("-TERM").arg(pid.trim()).status().expect("kill runs");
    assert!(ended.success());
    tmux.wait_for("ended with 130");
    tmux.wait_for(" icanon");
}

/// A process that goes on without its terminal would look for keys without end.
#[test]
fn it_ends_when_the_terminal_goes() {
    if !is_there("tmux") {
        return;
    }
    let capture = captures_folder().join("corrupt-peer.pcap.gz");
    let tmux = Tmux::run(&format!("exec {} browse {}", env!("CARGO_BIN_EXE_bittrace"), capture.display()));
    tmux.wait_for("announce-request started");
    let pid = tmux.call(&["display-message", "-p", "#{pane_pid}"]);
    let pid = String::from_utf8_lossy(&pid.stdout).trim().to_owned();
    let is_running = || Command::new("kill").args(["-0", &pid]).output().expect("kill runs").status.success();
    assert!(is_running(), "{pid}");
    tmux.call(&["kill-server"]);
    wait_until("the end of the browser", Path::new(""), || !is_running());
}

#[test]
fn without_a_terminal_it_says_so() {
    let folder = command::scratch_folder();
    let arguments = ["browse", "capture.pcap"];
    let mut bittrace = command::bittrace(env!("CARGO_BIN_EXE_bittrace"), folder.path(), &arguments);
    let (code, out, errors) = command::run(&mut bittrace);
    assert_eq!((code, out.as_str()), (2, ""));
    assert_eq!(errors, "bittrace: browse needs a terminal; bittrace analyze writes to files and pipes\n");
}
