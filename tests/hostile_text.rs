//! What peers, trackers, torrents and arguments say reaches people as text that neither a terminal nor a spreadsheet
//! obeys. JSON keeps all of the text, escaped.

use std::path::Path;

use bittrace_protocol::Timestamp;
use bittrace_testing::command::{self, scratch_folder};
use bittrace_trace::{Direction, Flow, Recorder, StreamId, StreamOpening};

/// A command to a terminal, the same in one character of C1, a new line, and an override of the order of letters.
const HOSTILE: &str = "=\u{1b}[31m\u{9b}2J\r\n\u{202e}fdp";

/// Runs bittrace in a folder: the exit code, standard output and standard error.
fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    command::run(&mut command::bittrace(env!("CARGO_BIN_EXE_bittrace"), folder, arguments))
}

/// A bencoded string.
fn string(text: &str) -> String {
    format!("{}:{text}", text.len())
}

/// A torrent of two files whose names and trackers are hostile.
fn torrent() -> Vec<u8> {
    let mut info = format!("d5:filesld6:lengthi5e4:pathl{}eee4:name{}", string(HOSTILE), string(HOSTILE));
    info.push_str("12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae");
    let url = string(&format!("http://{HOSTILE}/announce"));
    // A value of the wrong type, which is told as a fault, under a key of the file's own.
    format!("d8:announce{url}7:comment{}4:info{info}{}i1ee", string(HOSTILE), string(HOSTILE)).into_bytes()
}

/// A conversation with a tracker, one with a peer, and a datagram of the DHT, with `said` wherever text may stand.
fn capture(said: &str) -> Vec<u8> {
    let mut recorder = Recorder::new(Vec::new(), said).expect("memory takes all");
    let at = Timestamp::from_nanos(1_790_000_000_000_000_000);
    let flow = |port: u16| Flow {
        initiator: "10.0.0.1:50000".parse().expect("an address"),
        responder: format!("10.0.0.2:{port}").parse().expect("an address"),
    };
    let mut conversation = |stream: u32, port: u16, one: &[u8], other: &[u8]| {
        recorder.opened(at, StreamId(stream), flow(port), StreamOpening::Syn).expect("memory takes all");
        recorder.burst(at, StreamId(stream), Direction::FromInitiator, one).expect("memory takes all");
        recorder.burst(at, StreamId(stream), Direction::FromResponder, other).expect("memory takes all");
    };
    let escaped: String = said.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let request = format!(
        "GET /announce?info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=-XX0000-aaaaaaaaaaaa&port=6881&uploaded=0&downloaded=0\
         &left=5&{escaped}={escaped} HTTP/1.1\r\nHost: t\r\nUser-Agent: {}\r\n\r\n",
        // A header has no control characters of ASCII.
        said.replace(|c: char| c.is_ascii_control(), "")
    );
    let reply = format!("d14:failure reason{}{}i1ee", string(said), string(said));
    let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{reply}", reply.len());
    conversation(1, 80, request.as_bytes(), reply.as_bytes());

    let mut greeting = b"\x13BitTorrent protocol\0\0\0\0\0\x10\0\x01aaaaaaaaaaaaaaaaaaaa".to_vec();
    let mut id = said.as_bytes().to_vec();
    id.resize(20, b'x');
    greeting.extend(id);
    let dictionary = format!(
        "d1:md{}i1ee1:v{}{}{}e",
        string(said),
        string(said),
        string(&format!("z{said}")),
        string(said)
    );
    let mut message = (dictionary.len() as u32 + 2).to_be_bytes().to_vec();
    message.extend([20, 0]);
    message.extend(dictionary.as_bytes());
    greeting.extend(message);
    conversation(2, 6881, &greeting, &greeting);

    let (key, value) = (string(said), string(said));
    let query =
        format!("d{key}{value}1:ad{key}{value}2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:v{value}1:y1:qe");
    let flow = flow(6881);
    recorder.datagram(at, flow.initiator, flow.responder, query.as_bytes()).expect("memory takes all");
    recorder.finish().expect("memory takes all")
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
    std::fs::write(folder.path().join("t.torrent"), torrent()).unwrap();
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
