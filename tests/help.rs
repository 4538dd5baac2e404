//! What `--help` says, for every command: the face of the tool, read before it is changed.

use std::process::{Command, Stdio};

/// Runs bittrace and gives its exit code, standard output and standard error.
fn bittrace(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_bittrace"))
        .args(arguments)
        .env_remove("CLICOLOR_FORCE")
        .env("NO_COLOR", "1")
        .env("COLUMNS", "100")
        .stdin(Stdio::null())
        .output()
        .expect("the binary under test runs");
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Compares the help of a command with its snapshot.
macro_rules! assert_help {
    ($name:literal, $($argument:literal),*) => {
        let (code, help, errors) = bittrace(&[$($argument,)* "--help"]);
        assert_eq!((code, errors.as_str()), (Some(0), ""));
        for line in help.lines() {
            assert!(line.chars().count() <= 110, "too long: {line}");
        }
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("../snapshots/help");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!($name, help));
    };
}

#[test]
fn bittrace_help() {
    assert_help!("bittrace",);
}

#[test]
fn analyze_help() {
    assert_help!("analyze", "analyze");
}

#[test]
fn browse_help() {
    assert_help!("browse", "browse");
}

#[test]
fn download_help() {
    assert_help!("download", "download");
}

#[test]
fn lab_help() {
    assert_help!("lab", "lab");
}

#[test]
fn lab_sim_help() {
    assert_help!("lab-sim", "lab", "sim");
}

#[test]
fn lab_real_help() {
    assert_help!("lab-real", "lab", "real");
}

#[test]
fn lab_figures_help() {
    assert_help!("lab-figures", "lab", "figures");
}

#[test]
fn diff_help() {
    assert_help!("diff", "diff");
}

#[test]
fn replay_help() {
    assert_help!("replay", "replay");
}

#[test]
fn diagnose_help() {
    assert_help!("diagnose", "diagnose");
}

#[test]
fn profile_help() {
    assert_help!("profile", "profile");
}

#[test]
fn annotate_help() {
    assert_help!("annotate", "annotate");
}

#[test]
fn clear_help() {
    assert_help!("clear", "clear");
}

#[test]
fn extract_help() {
    assert_help!("extract", "extract");
}

#[test]
fn extcap_help() {
    assert_help!("extcap", "extcap");
}

#[test]
fn torrent_help() {
    assert_help!("torrent", "torrent");
}

#[test]
fn torrent_show_help() {
    assert_help!("torrent-show", "torrent", "show");
}

#[test]
fn completions_help() {
    assert_help!("completions", "completions");
}

#[test]
fn man_help() {
    assert_help!("man", "man");
}

#[test]
fn usage_errors_exit_with_2_and_say_what_is_wrong() {
    for (arguments, said) in [
        (&["analyze"][..], "CAPTURE"),
        (&["analyze", "x.pcap", "--filter", "mesage == piece"], "did you mean message?"),
        (&["analyze", "x.pcap", "--fields", "mesage"], "did you mean message?"),
        (
            &["analyze", "x.pcap", "--filter", "src ~ 10.0.0.0/99"],
            "is not a network: expected 10.0.0.0/ and a number",
        ),
        (&["extract", "x.pcap", "--torrent", "no-such.torrent"], "no-such.torrent: no such file"),
        (&["analyze", "x.pcap", "--from", "noon"], "neither seconds nor a time"),
        (&["analyze", "x.pcap", "--format", "csv", "--view", "summary"], "takes one view, not the summary"),
        (&["diff", "a.pcap"], "CANDIDATE"),
        (&["analyze", "no-such.pcap"], "bittrace: no-such.pcap: no such file"),
        (&["torrent", "show", "no-such.torrent"], "bittrace: no-such.torrent: no such file"),
        (&["analyze", "Cargo.toml"], "not a capture file"),
        (&["torrent", "show", "Cargo.toml"], "not a .torrent file"),
        (&["analyze", "src"], "src: no captures in this folder"),
        (&["torrent", "show", "src"], "a directory"),
        (&["man", "dance"], "unknown command \"dance\""),
    ] {
        let (code, output, errors) = bittrace(arguments);
        assert_eq!((code, output.as_str()), (Some(2), ""), "{arguments:?}: {errors}");
        assert!(errors.contains(said), "{arguments:?}: {errors}");
    }
}

#[test]
fn scripts_and_pages_are_written() {
    let (code, script, _) = bittrace(&["completions", "bash"]);
    assert_eq!(code, Some(0));
    assert!(script.contains("bittrace"));
    let (code, page, _) = bittrace(&["man", "analyze"]);
    assert_eq!(code, Some(0));
    assert!(page.starts_with(".ie") || page.contains(".TH"), "{page}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let into = folder.path().join("man1");
    let (code, said, _) = bittrace(&["man", "--output", into.to_str().expect("UTF-8")]);
    assert_eq!(code, Some(0));
    let pages: Vec<_> = std::fs::read_dir(&into).expect("the folder was made").collect();
    assert!(said.starts_with(&format!("{} pages written to ", pages.len())), "{said}");
    let page = std::fs::read_to_string(into.join("bittrace-analyze.1")).expect("a page of each command");
    let line = "  bittrace analyze capture.pcap \\-\\-filter 'severity >= warn'\n";
    assert!(page.contains(line), "{page}");
}
