//! The style sheet and the scripts of the HTML reports. They are plain files beside the Rust, without a build step: a
//! script is its files one after the other.

/// The style sheet of all reports.
pub const STYLE: &str = include_str!("assets/report.css");

/// What the reports of comparisons have beside it.
pub const DIFF_STYLE: &str = include_str!("assets/diff.css");

macro_rules! script {
    ($($name:literal),* $(,)?) => {
        concat!($(include_str!(concat!("assets/", $name, ".js")), "\n"),*)
    };
}

/// The script of the report of `analyze`. It reads the element `data`, and fills `course`, `ladder`, `detail`,
/// `content-pictures`, `tools` and `dock`.
pub const ANALYZE_SCRIPT: &str = script!(
    "base",
    "theme",
    "messages",
    "axis",
    "surface",
    "course",
    "lanes",
    "connections",
    "traffic",
    "answers",
    "pieces",
    "swarm",
    "lifelines",
    "ladder",
    "detail",
    "hex",
    "filter",
    "filter-names",
    "filter-values",
    "tables",
    "content",
    "main",
);

/// The script of the reports of `diff` and `replay`. It reads the element `data`, and fills `side-by-side` and `tools`.
pub const DIFF_SCRIPT: &str = script!("base", "theme", "pairs", "side-by-side", "pair-detail", "hex", "diff");

#[cfg(test)]
mod colour_tests;
