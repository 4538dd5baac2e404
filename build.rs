//! Tells the command which commit it is built from, where that is known: in a clone by Git, in a packaged crate by the file
//! that `cargo package` puts into it. Elsewhere the version is said alone.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let version = env!("CARGO_PKG_VERSION");
    let version = match packaged_commit().or_else(cloned_commit) {
        Some(commit) => format!("{version} ({commit})"),
        None => version.to_owned(),
    };
    println!("cargo::rustc-env=BITTRACE_VERSION={version}");
}

/// The file of a packaged crate that names its commit: `{"git": {"sha1": "..."}}`.
const PACKAGED: &str = ".cargo_vcs_info.json";

/// How many digits of a commit are said.
const DIGITS: usize = 12;

fn packaged_commit() -> Option<String> {
    let text = std::fs::read_to_string(PACKAGED).ok()?;
    println!("cargo::rerun-if-changed={PACKAGED}");
    let (_, rest) = text.split_once("\"sha1\"")?;
    short(rest.split('"').nth(1)?)
}

/// The commit of this clone. A clone of other sources around this folder does not count.
fn cloned_commit() -> Option<String> {
    if !Path::new(".git").exists() {
        return None;
    }
    // The first changes with each checkout, the second with each commit.
    for file in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", file])?;
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    short(&git(&["rev-parse", "HEAD"])?)
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(text.trim().to_owned())
}

/// The first digits of a commit, if it is one.
fn short(commit: &str) -> Option<String> {
    let digits = commit.get(..DIGITS)?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| digits.to_owned())
}
