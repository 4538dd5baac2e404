//! `bittrace download --html`: the page of the run.

use bittrace_testing::command::{code, scratch_folder};

use super::{download, seeder, tracker, write_torrent};

#[test]
fn the_page_of_a_run_tells_who_sent_wrong_bytes() {
    let folder = scratch_folder();
    let (corrupt, good) = (seeder(true), seeder(false));
    let torrent = write_torrent(folder.path(), tracker(vec![corrupt, good]));
    let page = folder.path().join("run.html");
    let name = page.to_string_lossy().into_owned();
    let (output, told) = download(&torrent, &folder.path().join("out"), &["--single-peer", "--html", &name]);
    assert_eq!(code(&output), 0, "{told}{}", String::from_utf8_lossy(&output.stderr));
    let page = std::fs::read_to_string(page).unwrap();
    assert!(
        page.contains("<b>All 3 pieces are verified.</b> Once a whole piece had the wrong hash."),
        "{page}"
    );
    assert!(page.contains("bep3.piece-corrupt") && page.contains(&corrupt.to_string()));
    // The recording was made for the page alone.
    let left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

#[test]
fn a_page_takes_the_place_of_nothing_that_the_run_needs() {
    let folder = scratch_folder();
    let torrent = write_torrent(folder.path(), tracker(Vec::new()));
    let (out, place) = (folder.path().join("out"), folder.path().to_string_lossy().into_owned());
    std::fs::create_dir(&out).unwrap();
    let cases = [
        ("-".to_owned(), "--html -: standard output has the commentary of the run"),
        (torrent.clone(), "this is a file that is read and would be overwritten"),
        (format!("{place}/out"), "this is a folder"),
        (format!("{place}/out/file.bin"), "this is where the files of the torrent go"),
        (format!("{place}/missing/x.html"), "cannot be written"),
    ];
    for (page, expected) in cases {
        let (output, _) = download(&torrent, &out, &["--html", &page]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(code(&output) == 2 && errors.contains(expected), "{page}: {errors}");
    }
    let file = std::fs::read_dir(&out).unwrap().count();
    assert_eq!(file, 0, "nothing was left in the folder");
}

#[test]
fn a_recording_that_nobody_asked_for_is_not_named() {
    let folder = scratch_folder();
    let torrent = write_torrent(folder.path(), tracker(vec![seeder(false)]));
    let page = folder.path().join("run.html").to_string_lossy().into_owned();
    let out = folder.path().join("out");
    let (output, told) = download(&torrent, &out, &["--html", &page, "--diagnose"]);
    assert_eq!(code(&output), 0, "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("this run") && !told.contains("run.pcapng"), "{told}");
}
