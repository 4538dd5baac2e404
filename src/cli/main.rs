//! The `bittrace` command: reads its arguments, runs what they ask for, and says how it went by its exit code.

mod args;
mod commands;
mod failure;
mod input;
mod interrupt;
mod keys;
mod os;
mod print;
mod query;

use std::any::TypeId;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{CommandFactory, FromArgMatches};

use args::{Arguments, Command, Torrent};
use commands::{analyze, diff, download, explain, extract, fields, profile, replay, schema, torrent};
use print::output::Output;

/// How a command went, the graver the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Done, or the same.
    Done,
    /// The answer is no.
    Matched,
    /// It could not tell.
    CouldNotTell,
    /// Ctrl-C.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Matched => 1,
            Exit::CouldNotTell => 2,
            Exit::Interrupted => interrupt::EXIT_INTERRUPTED,
        })
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
        Command::Analyze(analyze) => return analyze::run(&analyze, arguments.common, output),
        Command::Extract(extract) => return extract::run(&extract, arguments.common, output),
        Command::Download(download) => return download::run(&download, arguments.common, output),
        Command::Diff(diff) => return diff::run(&diff, arguments.common, output),
        Command::Replay(replay) => return replay::run(&replay, arguments.common, output),
        Command::Profile(profile) => return profile::show(&profile, arguments.common, output),
        Command::Torrent(Torrent::Show(show)) => torrent::show(&show, arguments.common, &mut output)?,
        Command::Explain { name } => explain::run(name.as_deref(), &mut output)?,
        Command::Fields(fields) => fields::run(&fields, &mut output)?,
        Command::Schema => print::json::write_line(&schema::schema(), &mut output)?,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "bittrace", &mut script);
            output.write_all(&script)?;
        }
        Command::Man { topic } => output.write_all(&manual(&topic)?)?,
    }
    output.flush()?;
    Ok(Exit::Done)
}

/// The manual page of a command, such as `torrent show`, in roff.
fn manual(topic: &[String]) -> Result<Vec<u8>> {
    let mut root = Arguments::command();
    root.build();
    let mut command = &root;
    for word in topic {
        match command.find_subcommand(word) {
            Some(found) => command = found,
            None => bail!("man: there is no command {}; see bittrace --help", topic.join(" ")),
        }
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_has_a_manual_page() {
        for topic in ["", "analyze", "diff", "extract", "torrent show", "completions"] {
            let words: Vec<String> = topic.split_whitespace().map(str::to_owned).collect();
            assert!(!manual(&words).unwrap().is_empty());
        }
        assert!(manual(&["dance".to_owned()]).is_err());
    }
}
