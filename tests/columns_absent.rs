//! `--format arrow`, `--format parquet` and `schema columns` where the program was built without them: what to do is said.
#![cfg(not(feature = "columnar"))]

use bittrace_testing::captures::captures_folder;
use bittrace_testing::command;

#[test]
fn a_program_without_columns_says_how_to_get_them() {
    let place = command::scratch_folder();
    let out = place.path().join("out");
    for arguments in [
        &["analyze", "download-aria2.pcap", "--format", "arrow"][..],
        &["analyze", "download-aria2.pcap", "--format", "parquet", "-o", out.to_str().expect("UTF-8")],
        &["schema", "columns"],
    ] {
        let mut bittrace = command::bittrace(env!("CARGO_BIN_EXE_bittrace"), &captures_folder(), arguments);
        let (code, printed, errors) = command::run(&mut bittrace);
        assert_eq!((code, printed.as_str(), errors.lines().count()), (2, "", 1), "{errors}");
        assert!(errors.contains("--features columnar") && errors.contains("duckdb -c"), "{errors}");
    }
    assert!(!out.exists());
}
