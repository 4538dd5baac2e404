//! The recipes of docs/recipes: the lines of its page, each run over 60 captures of which three are spoilt, give the rows
//! that bittrace itself counts, whatever tool reads them.

#![cfg(feature = "columnar")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bittrace_testing::captures::captures_folder;
use bittrace_testing::command::{self, scratch_folder};
use bittrace_testing::programs;
use serde_json::Value;

/// How many captures the folder has, and how many of them are spoilt.
const CAPTURES: usize = 60;
const SPOILT: usize = 3;

/// Where Python has what the recipes install: the interpreter of an environment. Its other programs stand beside it.
const PYTHON: &str = "BITTRACE_COLUMNS_PYTHON";

fn recipes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/recipes")
}

/// A folder as the page assumes it: `captures/` with all captures, and the files of the recipes.
fn workplace() -> tempfile::TempDir {
    let place = scratch_folder();
    let folder = place.path().join("captures");
    fs::create_dir(&folder).expect("a folder can be made");
    let mut files = Vec::new();
    for of in [captures_folder(), captures_folder().join("diagnosis")] {
        let entries =
            fs::read_dir(of).expect("captures/ is there").map(|entry| entry.expect("an entry").path());
        files.extend(entries.filter(|path| path.to_string_lossy().contains(".pcap")));
    }
    files.sort();
    for path in &files[..CAPTURES - SPOILT] {
        copy(path, &folder);
    }
    write(folder.join("empty.pcap"), b"");
    write(folder.join("not a capture.pcap"), b"This is text.\n");
    write(folder.join("lying.pcapng"), &[b"\x0a\x0d\x0d\x0a\xff\xff\xff\xff".as_slice(), &[0; 99]].concat());
    for entry in fs::read_dir(recipes()).expect("docs/recipes is there") {
        copy(&entry.expect("an entry").path(), place.path());
    }
    place
}

fn copy(file: &Path, folder: &Path) {
    let name = file.file_name().expect("a file has a name");
    fs::copy(file, folder.join(name)).expect("a file can be copied");
}

fn write(path: PathBuf, bytes: &[u8]) {
    fs::write(path, bytes).expect("a file can be written");
}

/// What stands after the last slash.
fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

fn folder_of(program: &Path) -> PathBuf {
    program.parent().expect("a program is in a folder").to_owned()
}

/// The commands of a section of the page, in order.
fn commands(section: &str) -> Vec<String> {
    let page = fs::read_to_string(recipes().join("README.md")).expect("the page of recipes is there");
    let (_, rest) = page.split_once(&format!("\n## {section}\n")).unwrap_or_else(|| panic!("no {section}"));
    let text = rest.split("\n## ").next().unwrap_or_default();
    let mut commands: Vec<String> = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("    ")) {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push(command.to_owned()),
            (None, Some(last)) => last.push_str(&format!("\n{line}")),
            (None, None) => panic!("{section}: no command before {line}"),
        }
    }
    assert!(!commands.is_empty(), "{section} has no command");
    commands
}

/// Runs a command in the folder, with bittrace and the programs of the environment first on `PATH`.
fn run(command: &str, place: &Path) -> String {
    let mut folders = vec![folder_of(env!("CARGO_BIN_EXE_bittrace").as_ref())];
    folders.extend(std::env::var_os(PYTHON).map(|python| folder_of(python.as_ref())));
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let path: OsString = std::env::join_paths(folders).expect("folders without separators in their names");
    let mut shell = Command::new("bash");
    shell.args(["-o", "pipefail", "-c", command]).current_dir(place).env("PATH", path).env_remove("COLUMNS");
    let (code, output, errors) = command::run(&mut shell);
    // Three captures cannot be read, which bittrace says with its exit code.
    let expected = if command.contains("bittrace analyze") { [0, 2] } else { [0, 0] };
    assert!(expected.contains(&code), "{command}: {code}: {errors}");
    output
}

/// What the recipes print: rules with their counts, then captures with their exit codes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Answer {
    rules: Vec<(String, u64)>,
    unread: Vec<(String, u64)>,
}

impl Answer {
    /// Reads rows of CSV; whatever else stands in the output is a header.
    fn read(output: &str) -> Self {
        let mut answer = Self::default();
        for line in output.lines() {
            let Some((name, number)) = line.rsplit_once(',') else { continue };
            let Ok(number) = number.trim().parse() else { continue };
            let name = name.trim_matches('"');
            match name.contains(".pcap") {
                // Spark names the files that it reads itself by their URI.
                true => answer.unread.push((file_name(name).replace("%20", " "), number)),
                false => answer.rules.push((name.to_owned(), number)),
            }
        }
        answer.unread.sort();
        answer
    }

    /// What bittrace counts.
    fn expected(place: &Path) -> Self {
        let lines = run("bittrace analyze captures --format json", place);
        let (mut counts, mut unread) = (BTreeMap::<String, u64>::new(), Vec::new());
        for line in lines.lines() {
            let object: Value = serde_json::from_str(line).expect("a line is JSON");
            for note in object["notes"].as_array().into_iter().flatten() {
                if note["severity"] != "chat" {
                    *counts
                        .entry(note["rule"].as_str().expect("a note has a rule").to_owned())
                        .or_default() += 1;
                }
            }
            if object["capture"]["ok"] == false {
                let name = object["capture"]["capture"].as_str().expect("a capture has a name");
                unread.push((file_name(name), 2));
            }
        }
        let mut rules: Vec<_> = counts.into_iter().collect();
        rules.sort_by_key(|(rule, count)| (std::cmp::Reverse(*count), rule.clone()));
        rules.truncate(5);
        assert_eq!((rules.len(), unread.len()), (5, SPOILT));
        unread.sort();
        Self { rules, unread }
    }
}

/// Whether Python has what the recipes install.
fn has_python() -> bool {
    std::env::var_os(PYTHON).is_some() || programs::skip(&format!("{PYTHON} names no Python"))
}

#[test]
fn jq_gives_what_bittrace_counts() {
    if !["bash", "jq"].into_iter().all(programs::is_there) {
        return;
    }
    let place = workplace();
    let output: String = commands("jq").iter().map(|command| run(command, place.path())).collect();
    assert_eq!(Answer::read(&output), Answer::expected(place.path()));
}

#[test]
fn duckdb_gives_what_bittrace_counts_from_json_and_from_parquet() {
    if !has_python() {
        return;
    }
    let place = workplace();
    let expected = Answer::expected(place.path());
    let mut answers = 0;
    for command in commands("DuckDB") {
        let output = run(&command, place.path());
        if command.starts_with("duckdb -csv") {
            assert_eq!(Answer::read(&output), expected, "{command}");
            answers += 1;
        }
    }
    assert_eq!(answers, 2);
    assert!(place.path().join("m.parquet").metadata().unwrap().len() > 0);
}

#[test]
fn polars_and_pandas_give_what_bittrace_counts() {
    if !has_python() {
        return;
    }
    let place = workplace();
    run("bittrace analyze captures/ --jobs 2 --format parquet -o out", place.path());
    let expected = Answer::expected(place.path());
    for command in commands("polars, pandas") {
        assert_eq!(Answer::read(&run(&command, place.path())), expected, "{command}");
    }
}

#[test]
fn spark_gives_what_bittrace_counts_by_path_and_by_content() {
    if !has_python() || !programs::is_there("java") {
        return;
    }
    let place = workplace();
    let expected = Answer::expected(place.path());
    let mut answers = 0;
    for command in commands("Spark") {
        let here = format!("file://{}/captures", place.path().display());
        let command = command
            .replace("s3a://bucket/captures", &here)
            .replace("captures/*.pcap captures/*.pcapng", "captures/*");
        let output = run(&command, place.path());
        if command.contains("spark_findings.py") {
            assert_eq!(Answer::read(&output), expected, "{command}");
            answers += 1;
        }
    }
    assert_eq!(answers, 2);
}

#[test]
fn a_worker_of_spark_that_dies_costs_no_message_and_doubles_none() {
    if !has_python() || !programs::is_there("java") {
        return;
    }
    let place = workplace();
    // In place of bittrace: at one capture it ends, once, the worker that started it.
    let script = place.path().join("bittrace-once");
    let program = env!("CARGO_BIN_EXE_bittrace");
    fs::write(
        &script,
        format!(
            "#!/bin/bash\ncase $2 in *download-aria2*) mkdir died 2>/dev/null && kill -9 $PPID;; esac\n\
             exec '{program}' \"$@\"\n"
        ),
    )
    .unwrap();
    run(&format!("chmod +x '{}'", script.display()), place.path());
    run(
        &format!(
            "BITTRACE='{}' PYSPARK_SUBMIT_ARGS='--master local[2,4] pyspark-shell' \
             python spark_messages.py path out-spark captures/*",
            script.display()
        ),
        place.path(),
    );
    assert!(place.path().join("died").is_dir(), "no worker died");
    let output = run("python spark_findings.py out-spark", place.path());
    assert_eq!(Answer::read(&output), Answer::expected(place.path()));
}

#[test]
fn shards_together_are_the_whole() {
    if !has_python() || !programs::is_there("bash") {
        return;
    }
    let place = workplace();
    for command in commands("Other schedulers") {
        // Shards with a spoilt capture end with code 2, which xargs tells with its own.
        run(&format!("{command} || true"), place.path());
    }
    let output = run("duckdb -csv -f findings.sql", place.path());
    assert_eq!(Answer::read(&output), Answer::expected(place.path()));
}
