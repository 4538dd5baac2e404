//! The pages for maintainers name files, and names within them: all of them are there. So are the links and captures that
//! the pages for users name.

use std::fmt;
use std::path::{Path, PathBuf};

/// A page, and the folder its paths begin in.
struct Page {
    path: PathBuf,
    base: PathBuf,
}

/// Something that a page names and that is not there.
#[derive(Debug, PartialEq, Eq)]
struct Missing {
    line: usize,
    name: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.name)
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<Page> {
    let page = |path: &str, base: &str| Page { path: root().join(path), base: root().join(base) };
    let mut pages =
        vec![page("src/README.md", "src"), page("src/words.md", "src"), page("CONTRIBUTING.md", "")];
    pages.push(page("src/live.md", "src"));
    for entry in root().join("src/decisions").read_dir().expect("there are decisions") {
        let path = entry.expect("the folder can be listed").path();
        pages.push(Page { path, base: root().to_owned() });
    }
    pages
}

/// The parts of a line that are written as code.
fn code(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Whether code is the path of a file or a folder; `NAME` stands for any name.
fn is_path(code: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    let endings = [".rs", ".md", ".sh", ".toml", ".tsv", ".py"];
    code.bytes().all(plain)
        && !code.contains("NAME")
        && (code.contains('/') || endings.iter().any(|ending| code.ends_with(ending)))
}

/// Whether code is a name of Rust.
fn is_identifier(code: &str) -> bool {
    !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The targets of the links in a line.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0))
}

/// Where an example of that name may be.
fn has_example(name: &str) -> bool {
    ["examples", "fuzz/examples", "src/client/examples"]
        .iter()
        .any(|folder| root().join(folder).join(format!("{name}.rs")).is_file())
}

/// What a page names that is not there. `folder` is where its links begin.
fn missing(text: &str, base: &Path, folder: &Path) -> Vec<Missing> {
    let mut missing = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let mut note = |name: &str| missing.push(Missing { line: number, name: name.to_owned() });
        let paths: Vec<&str> = code(line).filter(|code| is_path(code)).collect();
        paths.iter().filter(|path| !base.join(path).exists()).for_each(|path| note(path));
        links(line).filter(|link| !folder.join(link).exists()).for_each(&mut note);
        let examples = line.split("--example ").skip(1);
        for example in examples.filter_map(|rest| rest.split([' ', '`']).next()) {
            if !has_example(example) {
                note(&format!("--example {example}"));
            }
        }
        // The first cell of a row is a question, or a word; the others answer with names in files.
        let Some((_, cells)) = line.strip_prefix('|').and_then(|row| row.split_once('|')) else { continue };
        let files: Vec<String> =
            paths.iter().filter_map(|path| std::fs::read_to_string(base.join(path)).ok()).collect();
        for name in code(cells).filter(|code| is_identifier(code)) {
            if !files.is_empty() && !files.iter().any(|file| has_word(file, name)) {
                note(&format!("{name} in {}", paths.join(", ")));
            }
        }
    }
    missing
}

/// Whether a name stands in a text by itself, and not within a longer one.
fn has_word(text: &str, name: &str) -> bool {
    text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_')).any(|word| word == name)
}

#[test]
fn every_path_in_the_pages_for_maintainers_exists() {
    let mut found = String::new();
    for Page { path, base } in pages() {
        let text = std::fs::read_to_string(&path).expect("the page can be read");
        let folder = path.parent().expect("a page is in a folder");
        for missing in missing(&text, &base, folder) {
            found += &format!("{}, {missing}\n", path.display());
        }
    }
    assert!(found.is_empty(), "these are named and not there:\n{found}");
}

/// The pages for users.
fn pages_for_users() -> Vec<PathBuf> {
    let docs = root().join("docs").read_dir().expect("there are pages");
    let docs = docs.map(|entry| entry.expect("the folder can be listed").path());
    let mut pages: Vec<_> = docs.filter(|path| path.extension().is_some_and(|is| is == "md")).collect();
    pages.push(root().join("README.md"));
    pages
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .collect::<String>();
    kept.replace(' ', "-")
}

#[test]
fn links_and_captures_in_the_pages_for_users_exist() {
    let mut gone = Vec::new();
    for page in pages_for_users() {
        let text = std::fs::read_to_string(&page).expect("the page can be read");
        let folder = page.parent().expect("a page is in a folder");
        let anchors: Vec<String> =
            text.lines().filter_map(|line| Some(anchor(line.strip_prefix("## ")?))).collect();
        for link in text.lines().flat_map(links).filter(|link| !link.starts_with("http")) {
            let exists = match link.strip_prefix('#') {
                Some(name) => anchors.iter().any(|anchor| anchor == name),
                None => folder.join(link).exists(),
            };
            if !exists {
                gone.push(format!("{}: {link}", page.display()));
            }
        }
        let words = text.split(|c: char| c.is_whitespace() || c == '`');
        for path in words.filter(|word| word.starts_with("captures/")) {
            let path = path.trim_end_matches(['.', ',', ':', ';', ')']);
            if !root().join(path).exists() {
                gone.push(format!("{}: {path}", page.display()));
            }
        }
    }
    assert_eq!(gone, Vec::<String>::new());
}

#[test]
fn every_decision_is_in_the_index() {
    let folder = root().join("src/decisions");
    let index = std::fs::read_to_string(folder.join("README.md")).expect("the index can be read");
    for page in folder.read_dir().expect("the folder can be listed") {
        let name = page.expect("the folder can be listed").file_name();
        let name = name.to_string_lossy();
        assert!(name == "README.md" || index.contains(&format!("({name})")), "{name} is not in the index");
    }
}

#[test]
fn every_question_of_the_readme_has_a_file() {
    let text = std::fs::read_to_string(root().join("src/README.md")).expect("the page can be read");
    let questions: Vec<&str> =
        text.lines().filter(|line| line.starts_with("| ") && line.contains('?')).collect();
    assert!(questions.len() >= 25, "only {} questions", questions.len());
    for question in questions {
        assert!(code(question).any(|code| is_path(code) && !code.ends_with('/')), "no file: {question}");
    }
}

#[test]
fn what_is_not_there_is_found() {
    let text = "See `src/README.md`, `src/nowhere.rs` and [a page](gone.md).\n\
                | where is `nothing`? | `src/cli/main.rs` (`main`, `no_such_name`) |\n\
                Write `captures/scenarios/NAME.sh`; run `cargo run --example none`.";
    let expected = [
        (1, "src/nowhere.rs"),
        (1, "gone.md"),
        (2, "no_such_name in src/cli/main.rs"),
        (3, "--example none"),
    ];
    let expected = expected.map(|(line, name)| Missing { line, name: name.to_owned() });
    assert_eq!(missing(text, root(), root()), expected);
}
