//! The `bittrace` command: reads its arguments, runs what they ask for, and says how it went by its exit code.

mod args;
#[cfg_attr(not(feature = "browse"), path = "browse_absent.rs")]
mod browse;
mod capture_names;
mod capture_page;
#[cfg_attr(not(feature = "columnar"), path = "columns_absent.rs")]
mod columns;
mod commands;
mod failure;
mod file_kind;
mod input;
mod interrupt;
mod jobs;
mod keys;
mod os;
mod page_file;
mod print;
mod query;

use std::any::TypeId;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use bittrace_trace::units::counted;
use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{CommandFactory, FromArgMatches};
use serde::{Deserialize, Serialize};

use args::{Arguments, Command, Lab, SchemaOf, Torrent, TorrentFormat};
use commands::{
    analyze, annotate, clear, completions, diagnose, diff, download, explain, extcap, extract, fields, lab,
    man, profile, replay, schema, torrent,
};
use print::output::Output;
use print::printable::printable;

/// How a command ended. Of several, the last in this order is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Exit {
    /// Done, or the same.
    Done,
    /// The answer is no: differences, missing bytes, findings.
    Matched,
    /// An error: bad usage or unreadable input.
    CouldNotTell,
    /// Ctrl-C.
    Interrupted,
}

impl Exit {
    /// The exit code.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Matched => 1,
            Self::CouldNotTell => 2,
            Self::Interrupted => interrupt::EXIT_INTERRUPTED,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

fn main() -> ExitCode {
    if let Some(code) = os::run_if_guard() {
        return code;
    }
    let matches = with_checked_paths(Arguments::command()).try_get_matches();
    let arguments = match matches.and_then(|matches| Arguments::from_arg_matches(&matches)) {
        Ok(arguments) => arguments,
        // Help goes to standard output, usage errors to standard error; either may be closed.
        Err(error) if error.use_stderr() => {
            failure::report_usage(error);
            return Exit::CouldNotTell.into();
        }
        Err(help) => {
            let _ = help.print();
            return Exit::Done.into();
        }
    };
    interrupt::watch();
    let output = Output::new(arguments.common);
    match run(arguments, output) {
        Ok(exit) => exit.into(),
        Err(error) if failure::is_closed_pipe(&error) => Exit::Done.into(),
        Err(error) => {
            failure::report(&error);
            Exit::CouldNotTell.into()
        }
    }
}

/// Has every path among the arguments be that of a file or folder.
fn with_checked_paths(command: clap::Command) -> clap::Command {
    command
        .mut_args(|argument| match argument.get_value_parser().type_id() == TypeId::of::<PathBuf>() {
            true => argument.value_parser(PathBufValueParser::new().try_map(os::check_path)),
            false => argument,
        })
        .mut_subcommands(with_checked_paths)
}

fn run(arguments: Arguments, mut output: Output) -> Result<Exit> {
    match arguments.command {
        Command::Analyze(analyze) if arguments.worker => {
            return analyze::work(&analyze, arguments.common, output);
        }
        Command::Analyze(analyze) => return analyze::run(&analyze, arguments.common, output),
        Command::Browse(browsing) => return browse::run(&browsing, arguments.common),
        Command::Diagnose(diagnose) => return diagnose::run(&diagnose, arguments.common, output),
        Command::Annotate(annotate) => return annotate::run(&annotate, arguments.common, output),
        Command::Clear(clear) => return clear::run(&clear, arguments.common, output),
        Command::Extract(extract) => return extract::run(&extract, arguments.common, output),
        Command::Download(download) => return download::run(&download, arguments.common, output),
        Command::Extcap(extcap) => return extcap::run(&extcap, arguments.common, output),
        Command::Lab(Lab::Sim(sim)) => return lab::sim(&sim, arguments.common, output),
        Command::Lab(Lab::Real(real)) => return lab::real(&real, arguments.common, output),
        Command::Lab(Lab::Figures(figures)) => return lab::figures(&figures, arguments.common, output),
        Command::Diff(diff) => return diff::run(&diff, arguments.common, output),
        Command::Replay(replay) => return replay::run(&replay, arguments.common, output),
        Command::Profile(profile) => return profile::show(&profile, arguments.common, output),
        Command::Torrent(Torrent::Fetch(fetch)) => return torrent::fetch(&fetch, arguments.common, output),
        Command::Torrent(Torrent::Show(show)) => torrent::show(&show, arguments.common, &mut output)?,
        Command::Explain { name } => explain::run(name.as_deref(), &mut output)?,
        Command::Fields(fields) => fields::run(&fields, &mut output)?,
        Command::Schema { what: SchemaOf::Json, .. } => {
            print::json::write_line(&schema::schema(), &mut output)?;
        }
        Command::Schema { what: SchemaOf::Columns, format } => {
            columns::describe_tables(format == TorrentFormat::Json, &mut output)?;
        }
        Command::Completions { shell } => {
            output.write_all(completions::completion_script(shell).as_bytes())?;
        }
        Command::Man { output: Some(folder), .. } => {
            let pages = counted(man::write_manual_pages(&folder)? as u64, "page");
            writeln!(output, "{pages} written to {}", printable(&folder.display().to_string()))?;
        }
        Command::Man { topic, .. } => output.write_all(&man::manual_page(&topic)?)?,
    }
    output.flush()?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
