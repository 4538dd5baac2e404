//! `bittrace annotate` as a user runs it: every packet as it was, comments where Wireshark shows the messages.

use std::path::Path;

use bittrace_testing::captures::{captures, captures_folder, scenario, torrent};
use bittrace_testing::command::{self, scratch_folder};
use bittrace_testing::programs::is_there;
use bittrace_testing::tshark::fields as tshark;
use bittrace_trace::{Capture, LinkType};

fn bittrace(arguments: &[&str]) -> (i32, String, String) {
    command::run(&mut command::bittrace(env!("CARGO_BIN_EXE_bittrace"), &captures_folder(), arguments))
}

/// A packet: when, what its bytes begin with, its bytes, its length on the wire, whether it was sent, its interface.
type Packet = (i64, LinkType, Vec<u8>, u32, Option<bool>, u32);

fn packets(path: &Path) -> Vec<Packet> {
    let mut capture = Capture::open(path).expect("a capture");
    let mut packets = Vec::new();
    while let Some(packet) = capture.next_packet().expect("a packet") {
        packets.push((
            packet.moment.at.as_nanos(),
            packet.link,
            packet.data.to_vec(),
            packet.original_length,
            packet.outgoing,
            packet.interface,
        ));
    }
    packets
}

/// Writes a capture with comments; what was said on standard error.
fn annotate(capture: &Path, out: &Path, more: &[&str]) -> String {
    let path = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
    let (capture_path, out_path) = (path(capture), path(out));
    let torrent_path = path(&capture.with_file_name(format!("{}.torrent", scenario(capture))));
    let mut arguments = vec!["annotate", &capture_path, "-o", &out_path];
    if torrent(capture).is_some() {
        arguments.extend(["--torrent", &torrent_path]);
    }
    let (code, printed, errors) = bittrace(&[&arguments[..], more].concat());
    assert_eq!((code, &*printed), (0, ""), "{errors}");
    errors
}

#[test]
fn packets_and_messages_are_those_of_the_capture() {
    let folder = scratch_folder();
    for path in captures() {
        let out = folder.path().join("commented.pcapng");
        for comments in ["findings", "messages"] {
            annotate(&path, &out, &["--comments", comments]);
            assert_eq!(packets(&path), packets(&out), "{}", path.display());
        }
        let rows = |file: &Path| {
            let arguments =
                ["analyze", file.to_str().expect("a path"), "--view", "messages", "--format", "csv"];
            bittrace(&[&arguments[..], &["--fields", "n,time,frames,stream,src,dst,summary,notes"]].concat())
                .1
        };
        assert_eq!(rows(&path), rows(&out), "{}", path.display());
    }
}

/// A comment says the number and the line of a message, then a line for each finding.
#[test]
fn comments_name_the_message_and_its_findings() {
    let folder = scratch_folder();
    let out = folder.path().join("commented.pcapng");
    let errors = annotate(&captures_folder().join("corrupt-peer.pcap.gz"), &out, &[]);
    assert!(errors.contains("520 packets, "), "{errors}");
    let bytes = std::fs::read(&out).expect("the output");
    let text = String::from_utf8_lossy(&bytes);
    let wanted =
        "#36 piece 1, 16 KiB at 16384\nerror bep3.piece-corrupt: piece 1 of 5 (corrupt.bin) is complete";
    assert!(text.contains(wanted), "{}", text.matches("bep3.piece-corrupt").count());
    assert!(text.contains("#3 handshake"), "no handshake");
    assert!(!text.contains("#11 "), "a message without findings has a comment");
}

#[test]
fn standard_input_and_standard_output_serve() {
    let folder = scratch_folder();
    let out = folder.path().join("commented.pcapng");
    let capture = captures_folder().join("download-aria2.pcap");
    annotate(&capture, &out, &[]);
    let arguments = ["annotate", "-", "-o", "-", "--torrent", "download-aria2.torrent", "-q"];
    let mut command = command::bittrace(env!("CARGO_BIN_EXE_bittrace"), &captures_folder(), &arguments);
    let input = std::fs::File::open(&capture).expect("a capture");
    let piped = command.stdin(input).output().expect("bittrace starts");
    assert!(piped.status.success(), "{}", String::from_utf8_lossy(&piped.stderr));
    assert!(piped.stdout == std::fs::read(&out).expect("the output"), "other bytes through pipes");
}

/// What is read twice is read from a copy, which errors do not name.
#[test]
fn errors_name_standard_input() {
    let folder = scratch_folder();
    let broken = folder.path().join("broken.pcap");
    let whole = std::fs::read(captures_folder().join("download-aria2.pcap")).expect("a capture");
    let annotate = |bytes: &[u8]| {
        std::fs::write(&broken, bytes).expect("written");
        let arguments = ["annotate", "-", "-o", "-"];
        let mut command = command::bittrace(env!("CARGO_BIN_EXE_bittrace"), &captures_folder(), &arguments);
        command.stdin(std::fs::File::open(&broken).expect("a file"));
        let output = command.output().expect("bittrace starts");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    let (code, errors) = annotate(b"no capture");
    assert!(code == Some(2) && errors.starts_with("bittrace: standard input: not a capture"), "{errors}");
    let (code, errors) = annotate(&[&whole[..], &[0xff; 16]].concat());
    assert!(code == Some(2) && errors.starts_with("bittrace: standard input: "), "{errors}");
    let (code, errors) = annotate(&whole[..whole.len() - 7]);
    assert!(code == Some(0) && errors.starts_with("bittrace: standard input: cut short"), "{errors}");
}

/// What a capture says of itself stays: nothing is added for a pcap either.
#[test]
fn nothing_is_added_to_what_the_capture_says_of_itself() {
    let folder = scratch_folder();
    let out = folder.path().join("commented.pcapng");
    for path in captures() {
        annotate(&path, &out, &[]);
        let said = |file: &Path| {
            let mut capture = Capture::open(file).expect("a capture");
            while capture.next_packet().expect("a packet").is_some() {}
            capture.comments().to_vec()
        };
        assert_eq!(said(&path), said(&out), "{}", path.display());
    }
}

#[test]
fn nothing_is_written_where_nothing_can_be_read_or_written() {
    let folder = scratch_folder();
    let out = folder.path().join("out.pcapng");
    let out_path = out.to_str().expect("a path");
    let (code, _, errors) = bittrace(&["annotate", "absent.pcap", "-o", out_path]);
    assert!(code == 2 && errors.contains("absent.pcap: no such file") && !out.exists(), "{errors}");
    let (code, _, errors) = bittrace(&["annotate", "README.md", "-o", out_path]);
    assert!(code == 2 && errors.contains("README.md") && !out.exists(), "{errors}");
    let there = captures_folder().join("download-aria2.pcap");
    let there = there.to_str().expect("a path");
    let (code, _, errors) = bittrace(&["annotate", there, "-o", there]);
    assert!(code == 2 && errors.contains("would be overwritten"), "{errors}");
    let (code, _, errors) = bittrace(&["annotate", there, "-o", folder.path().to_str().expect("a path")]);
    assert!(code == 2 && errors.contains("this is a folder"), "{errors}");
}

/// What comes before a cut is kept, and the cut is said.
#[test]
fn a_cut_capture_is_written_up_to_the_cut() {
    let folder = scratch_folder();
    let whole = std::fs::read(captures_folder().join("download-aria2.pcap")).expect("a capture");
    let cut = folder.path().join("cut.pcap");
    std::fs::write(&cut, &whole[..whole.len() - 7]).expect("written");
    let out = folder.path().join("out.pcapng");
    let errors = annotate(&cut, &out, &[]);
    assert!(errors.contains("is not whole and is left out"), "{errors}");
    assert_eq!(packets(&cut), packets(&out));
}

/// Of a capture that cannot be read on, what came before is written and counted, and the exit code says so.
#[test]
fn a_broken_capture_is_written_up_to_the_fault() {
    let folder = scratch_folder();
    let mut bytes = std::fs::read(captures_folder().join("download-aria2.pcap")).expect("a capture");
    // A packet of four gigabytes.
    bytes.extend_from_slice(&[0xff; 16]);
    let broken = folder.path().join("broken.pcap");
    std::fs::write(&broken, &bytes).expect("written");
    let out = folder.path().join("out.pcapng");
    let path = |path: &Path| path.to_str().expect("a path").to_owned();
    let (code, _, errors) = bittrace(&["annotate", &path(&broken), "-o", &path(&out)]);
    assert!(code == 2 && errors.contains("broken.pcap"), "{errors}");
    let whole = packets(&captures_folder().join("download-aria2.pcap"));
    assert_eq!(whole, packets(&out));
    let said = errors.lines().last().expect("a line");
    assert!(
        said.contains(&format!("{} packets, ", whole.len())) && !said.ends_with(", 0 comments"),
        "{errors}"
    );
}

/// tshark sees each packet as before, and the comments on the packets that the output says.
#[test]
fn wireshark_shows_the_packets_as_before_and_the_comments() {
    if !is_there("tshark") {
        return;
    }
    let folder = scratch_folder();
    for path in captures() {
        let out = folder.path().join("commented.pcapng");
        let errors = annotate(&path, &out, &["--comments", "messages"]);
        let fields = ["frame.number", "frame.time_epoch", "frame.len", "frame.cap_len", "_ws.col.Protocol"];
        assert_eq!(tshark(&path, "", &fields), tshark(&out, "", &fields), "{}", path.display());
        let comments = tshark(&out, "frame.comment", &["frame.number"]).len();
        let said = errors.lines().last().and_then(|line| line.rsplit(", ").next());
        let said = said.and_then(|said| said.split(' ').next()?.replace(',', "").parse().ok());
        assert_eq!(said, Some(comments), "{}: {errors}", path.display());
    }
}
