//! Links, marks and padding of a torrent (BEP 47): what is made, what is left out, and that nothing leads elsewhere.

#![allow(clippy::unwrap_used, reason = "a test ends at its first fault")]

mod support;

use std::path::Path;

use bittrace_client::{DownloadReport, LeftOutReason, Outcome};
use bittrace_testing::torrent::{SeededTorrent, all_files, content};
use support::{Swarm, config, options, run};

/// A file of the torrent: path, attributes, length, and where it leads if it is a link.
type Entry = (&'static str, &'static str, usize, Option<&'static str>);

/// A torrent of these files, of which `stored` are written where the torrent says.
fn swarm(entries: &[Entry]) -> Swarm {
    let list =
        |path: &str| -> String { path.split('/').map(|part| format!("{}:{part}", part.len())).collect() };
    let (mut info, mut bytes, mut stored) = ("5:filesl".to_owned(), Vec::new(), Vec::new());
    for (path, attributes, length, target) in entries {
        let part = match attributes.contains('p') {
            true => vec![0; *length],
            false => content(bytes.len() as u64 + 1, *length),
        };
        bytes.extend_from_slice(&part);
        info.push('d');
        if !attributes.is_empty() {
            info += &format!("4:attr{}:{attributes}", attributes.len());
        }
        info += &format!("6:lengthi{length}e4:pathl{}e", list(path));
        if let Some(target) = target {
            info += &format!("12:symlink pathl{}e", list(target));
        }
        info.push('e');
        if !attributes.contains(['p', 'l']) {
            stored.push((format!("top/{path}"), part));
        }
    }
    info += "e4:name3:top";
    Swarm::new(|announce| SeededTorrent::new(announce, &info, bytes, 32 * 1024, stored))
}

fn download(swarm: &Swarm, output: &Path) -> DownloadReport {
    let report = run(&swarm.seed, options(output, config())).0.unwrap();
    assert_eq!(report.outcome, Outcome::Complete);
    report
}

fn left_out(report: &DownloadReport) -> Vec<(LeftOutReason, u64, &str)> {
    report.left_out.iter().collect()
}

#[cfg(unix)]
#[test]
fn links_are_made_and_files_are_marked_as_executable() {
    use std::os::unix::fs::PermissionsExt;
    let swarm = swarm(&[
        ("bin/tool", "x", 40_000, None),
        ("near", "l", 0, Some("bin/tool")),
        ("deep/er/far", "l", 0, Some("bin/plain")),
        ("bin/plain", "", 10_000, None),
        (".pad/1", "p", 15_536, None),
        ("all", "lx", 0, Some("bin")),
    ]);
    let output = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let report = download(&swarm, output.path());
        assert!(report.left_out.is_empty(), "{:?}", report.left_out);
        let top = output.path().join("top");
        let mode = |name: &str| std::fs::metadata(top.join(name)).unwrap().permissions().mode();
        assert_eq!((mode("bin/tool") & 0o100, mode("bin/plain") & 0o111), (0o100, 0));
        for (link, text) in [("near", "bin/tool"), ("deep/er/far", "../../bin/plain"), ("all", "bin")] {
            assert_eq!(std::fs::read_link(top.join(link)).unwrap(), Path::new(text));
        }
        let names = ["top/all", "top/bin/plain", "top/bin/tool", "top/deep/er/far", "top/near"];
        assert_eq!(all_files(output.path()), names);
    }
}

#[cfg(unix)]
#[test]
fn a_link_is_made_last_and_never_in_place_of_something_else() {
    let swarm = swarm(&[("f", "", 40_000, None), ("l", "l", 0, Some("f")), ("d/m", "l", 0, Some("f"))]);
    let output = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let top = output.path().join("top");
    std::fs::create_dir(&top).unwrap();
    std::fs::write(top.join("l"), "mine").unwrap();
    std::os::unix::fs::symlink(outside.path(), top.join("d")).unwrap();
    let report = download(&swarm, output.path());
    assert_eq!(left_out(&report), [(LeftOutReason::LinkInTheWay, 2, "top/l")]);
    assert_eq!(std::fs::read(top.join("l")).unwrap(), b"mine");
    assert_eq!(all_files(outside.path()), [""; 0]);
}

#[test]
fn what_cannot_be_stored_safely_is_left_out_and_told() {
    let swarm = swarm(&[
        ("f", "h", 40_000, None),
        (".dotted", "h", 100, None),
        ("up", "l", 0, Some("../../etc/passwd")),
        ("absolute", "l", 0, Some("/etc/passwd")),
        ("chain", "l", 0, Some("up")),
        ("circle", "l", 0, Some("circle")),
        ("gone", "l", 0, Some("missing")),
        ("f", "l", 0, Some("dir/g")),
        ("dir", "l", 0, Some("f")),
        ("../out", "l", 0, Some("f")),
        ("dir/g", "", 100, None),
        (".pad/2", "ph", 20, None),
    ]);
    let around = tempfile::tempdir().unwrap();
    let output = around.path().join("a/b");
    for _ in 0..2 {
        let report = download(&swarm, &output);
        let wanted = [
            (LeftOutReason::LinkTarget, 5, "up"),
            (LeftOutReason::LinkPath, 3, "f"),
            (LeftOutReason::Hidden, 1, "f"),
        ];
        assert_eq!(left_out(&report), wanted);
        swarm.seed.assert_whole(&output);
        assert_eq!(all_files(around.path()).len(), 3);
    }
}

#[cfg(windows)]
#[test]
fn what_this_system_lacks_is_told() {
    let swarm = swarm(&[("f", "x", 40_000, None), ("l", "l", 0, Some("f"))]);
    let output = tempfile::tempdir().unwrap();
    let report = download(&swarm, output.path());
    let wanted = [(LeftOutReason::LinkUnsupported, 1, "top/l"), (LeftOutReason::Executable, 1, "top/f")];
    assert_eq!(left_out(&report), wanted);
    swarm.seed.assert_whole(output.path());
}
