//! What peers, trackers, torrents and arguments say reaches people as text that neither a terminal nor a spreadsheet
//! obeys. JSON keeps all of the text, escaped.

use std::path::Path;

use bittrace_testing::command::{self, scratch_folder};
use bittrace_testing::hostile::{capture, torrent};

/// A command to a terminal, the same in one character of C1, a new line, and an override of the order of letters.
const HOSTILE: &str = "=\u{1b}[31m\u{9b}2J\r\n\u{202e}fdp";

/// Runs bittrace in a folder: the exit code, standard output and standard error.
fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    command::run(&mut command::bittrace(env!("CARGO_BIN_EXE_bittrace"), folder, arguments))
}

/// Says which character of a text a terminal would obey. `colours` lets those pass that the command paints with.
fn obeyed(text: &str, colours: bool) -> Option<String> {
    let mut rest = text.to_owned();
    if colours {
        while let Some(at) = rest.find("\u{1b}[") {
            let end = rest[at + 2..].find(|c: char| !c.is_ascii_digit() && c != ';')? + at + 2;
            if !rest[end..].starts_with('m') {
                return Some(rest[at..].to_owned());
            }
            rest.replace_range(at..=end, "");
        }
    }
    // The red of the hostile text is none of ours: it has no digit after it, and is not closed.
    let wrong = |c: char| (c.is_control() && c != '\n') || ('\u{2028}'..='\u{202e}').contains(&c);
    let at = rest.find(wrong)?;
    Some(rest[at..].chars().take(20).collect())
}

#[test]
fn no_command_shows_what_a_terminal_obeys() {
    let folder = scratch_folder();
    let other = HOSTILE.replace("fdp", "gpj");
    let name = "\u{1b}]0;title\u{7}\u{202e}.pcapng";
    for (file, said) in [("a.pcapng", HOSTILE), ("b.pcapng", &other), (name, HOSTILE)] {
        std::fs::write(folder.path().join(file), capture(said)).unwrap();
    }
    std::fs::write(folder.path().join("t.torrent"), torrent(HOSTILE)).unwrap();
    let mut stored = capture("");
    stored.truncate(stored.len() / 8);
    let silent = "\u{9b}31msilent.pcapng";
    std::fs::write(folder.path().join(silent), stored).unwrap();

    let commands: [&[&str]; 17] = [
        &["analyze", "a.pcapng"],
        &["analyze", "a.pcapng", "--view", "ladder"],
        &["analyze", "a.pcapng", "--torrent", "t.torrent", "--view", "map,rates"],
        &["analyze", name, "a.pcapng"],
        &["analyze", silent, "--view", "messages"],
        &["analyze", "a.pcapng", "--torrent", "t.torrent", "-v"],
        &["analyze", "a.pcapng", "--view", "messages,conversations,findings,pieces", "--hex"],
        &["analyze", "a.pcapng", "--follow", "1"],
        &["analyze", "a.pcapng", "--follow", "2"],
        &["analyze", "a.pcapng", "--fields", "summary,fields,fields.v,fields.user_agent"],
        &["analyze", "a.pcapng", "--format", "csv"],
        &["diff", "a.pcapng", "b.pcapng", "--side", "both", "--no-mask", "--hex", "-v", "--context", "2"],
        &["diff", name, "b.pcapng", "--torrent", "t.torrent"],
        &["profile", "a.pcapng"],
        &["extract", "a.pcapng", "--torrent", "t.torrent", "--unverified", "-o", "out"],
        &["torrent", "show", "t.torrent"],
        &["torrent", "show", "t.torrent", "-v"],
    ];
    let mut seen = 0;
    for arguments in commands {
        for colour in ["never", "always"] {
            let arguments = [arguments, &["--color", colour]].concat();
            let (_, printed, errors) = run(folder.path(), &arguments);
            let painted = colour == "always";
            assert_eq!(obeyed(&printed, painted), None, "{arguments:?} prints\n{printed:?}");
            assert_eq!(obeyed(&errors, false), None, "{arguments:?} says\n{errors:?}");
            assert!(!painted || !printed.contains("[31m\u{9b}"), "{arguments:?}");
            seen += usize::from(printed.contains("\u{fffd}[31m\u{fffd}2J"));
        }
    }
    // The text is shown, not left out.
    assert!(seen >= 16, "{seen}");
}

#[test]
fn errors_show_arguments_that_a_terminal_would_obey() {
    let folder = scratch_folder();
    let commands: [&[&str]; 7] = [
        &["analyze", HOSTILE],
        &["analyze", "a.pcap", "--filter", HOSTILE],
        &["analyze", "a.pcap", "--format", HOSTILE],
        &["analyze", "a.pcap", "--limit", HOSTILE],
        &[HOSTILE],
        &["analyze", "a.pcap", "--\u{1b}[31mx"],
        &["man", HOSTILE],
    ];
    for arguments in commands {
        let (code, printed, errors) = run(folder.path(), arguments);
        assert_eq!((code, printed.as_str()), (2, ""), "{arguments:?}");
        assert_eq!(obeyed(&errors, false), None, "{arguments:?} says\n{errors:?}");
        assert!(
            errors.contains("\u{fffd}[31m") || errors.contains("=[31m"),
            "{arguments:?} says\n{errors:?}"
        );
    }
}

#[test]
fn csv_has_no_cell_that_a_spreadsheet_computes() {
    let folder = scratch_folder();
    std::fs::write(folder.path().join("a.pcapng"), capture("=1+1")).unwrap();
    let arguments =
        ["analyze", "a.pcapng", "--format", "csv", "--fields", "fields.v,fields.user_agent,offset"];
    let (code, printed, errors) = run(folder.path(), &arguments);
    assert_eq!((code, errors.as_str()), (0, ""));
    assert!(printed.contains("'=1+1"), "{printed}");
    for cell in printed.lines().flat_map(|line| line.split(',')) {
        assert!(!cell.trim_start_matches('"').starts_with(['=', '+', '@']), "{printed}");
    }
}

#[test]
fn json_keeps_hostile_text_and_escapes_it() {
    let folder = scratch_folder();
    std::fs::write(folder.path().join("a.pcapng"), capture(HOSTILE)).unwrap();
    let (code, printed, errors) = run(folder.path(), &["analyze", "a.pcapng", "--format", "json"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    assert_eq!(obeyed(&printed, false), None, "{printed:?}");
    let kept = printed.lines().any(|line| {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        object["fields"][HOSTILE] == 1
    });
    assert!(kept, "{printed}");
}

#[test]
fn traces_and_logs_for_other_programs_escape_hostile_text() {
    let folder = scratch_folder();
    let name = "\u{1b}]0;title\t#\u{7}\u{202e}.pcapng";
    std::fs::write(folder.path().join(name), capture(HOSTILE)).unwrap();
    let (code, trace, errors) = run(folder.path(), &["analyze", name, "--format", "perfetto"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    assert_eq!(obeyed(&trace, false), None, "{trace:?}");
    let trace: serde_json::Value = serde_json::from_str(&trace).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    assert!(events[0]["args"]["name"].as_str().unwrap().ends_with(name), "{}", events[0]);

    let (code, _, errors) = run(folder.path(), &["analyze", name, "--format", "zeek", "-o", "logs"]);
    assert_eq!(code, 0, "{errors}");
    assert_eq!(obeyed(&errors, false), None, "{errors:?}");
    let log = std::fs::read_to_string(folder.path().join("logs/bittorrent.log")).unwrap();
    assert_eq!(obeyed(&log.replace('\t', " "), false), None, "{log:?}");
    let cells = |line: &str| line.split('\t').count();
    let fields = log.lines().find(|line| line.starts_with("#fields")).map(cells).unwrap();
    let rows: Vec<&str> = log.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(!rows.is_empty());
    for row in rows {
        assert_eq!(cells(row) + 1, fields, "{row:?}");
        assert!(row.contains("\\x1b]0;title\\x09\\x23\\x07\\xe2\\x80\\xae.pcapng"), "{row:?}");
    }
}
