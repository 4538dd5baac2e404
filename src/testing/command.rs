//! Running the command as a user runs it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The command with these arguments, in this folder; nothing of the terminal or the locale shows in what it prints. `binary` is
/// `env!("CARGO_BIN_EXE_bittrace")`, which Cargo tells to the tests of the command alone.
pub fn bittrace(binary: &str, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command.args(arguments).current_dir(folder).env_remove("COLUMNS").stdin(Stdio::null());
    // A proxy of the machine would be asked for the trackers of a test, too.
    for variable in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(variable).env_remove(variable.to_ascii_uppercase());
    }
    command.env("LC_ALL", "C.UTF-8");
    command
}

/// Runs a command: its exit code, standard output and standard error.
///
/// # Panics
/// When it does not start, is ended by a signal, or prints what is not UTF-8.
pub fn run(command: &mut Command) -> (i32, String, String) {
    let output = command.output().expect("the command starts");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("output is UTF-8");
    (code(&output), text(&output.stdout), text(&output.stderr))
}

/// The exit code of a command.
///
/// # Panics
/// When a signal has ended it.
pub fn code(output: &Output) -> i32 {
    output.status.code().expect("the command ends by itself")
}

/// A folder that is gone after the test.
///
/// # Panics
/// When it cannot be made.
pub fn scratch_folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder can be made")
}

/// Compares what a command printed with a snapshot in this folder of `snapshots/`. A macro, so that insta takes the test
/// for the place that asks.
#[macro_export]
macro_rules! assert_printed {
    ($folder:literal, $name:expr, $printed:expr) => {
        insta::with_settings!({
            snapshot_path => concat!("../snapshots/", $folder),
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, {
            insta::assert_snapshot!($name, $printed)
        });
    };
}
