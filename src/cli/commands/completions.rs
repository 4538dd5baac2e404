//! `bittrace completions`: scripts for shells. They complete commands, options, and the names of rules, messages and
//! fields where these are arguments.

use clap::builder::PossibleValuesParser;
use clap::{Arg, Command, CommandFactory};
use clap_complete::Shell;

use crate::args::Arguments;
use crate::commands::{explain, fields};
use crate::query::catalog::message_names;
use crate::query::names::all_names;

/// The script for a shell.
pub(crate) fn completion_script(shell: Shell) -> String {
    let mut command = with_names(Arguments::command());
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "bittrace", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    // clap completes no arguments without an option in fish, and no values at all in PowerShell.
    match shell {
        Shell::Fish => script + &fish_arguments(&command),
        Shell::PowerShell => with_powershell_values(&script, &command),
        _ => script,
    }
}

/// The commands, with the names that their arguments may be. The command line itself is read without them: it takes more
/// spellings, and its errors suggest what was meant.
fn with_names(command: Command) -> Command {
    let messages = distinct(message_names());
    let fields_of = distinct(fields::names());
    let only = |command: Command| {
        let messages = messages.clone();
        command.mut_arg("only", |argument| named(argument, messages))
    };
    command
        .mut_subcommand("analyze", |command| {
            command.mut_arg("fields", |argument| named(argument, distinct(all_names())))
        })
        .mut_subcommand("diff", only)
        .mut_subcommand("replay", only)
        .mut_subcommand("explain", |command| {
            command.mut_arg("name", |argument| named(argument, distinct(explain::names())))
        })
        .mut_subcommand("fields", |command| command.mut_arg("message", |argument| named(argument, fields_of)))
}

fn named(argument: Arg, names: Vec<&'static str>) -> Arg {
    argument.value_parser(PossibleValuesParser::new(names))
}

/// The names once each, those with blanks left out: a shell would read them as several.
fn distinct(names: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    let mut names: Vec<_> = names.filter(|name| !name.contains(' ')).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The values that an argument takes.
fn values(argument: &Arg) -> Vec<String> {
    let takes_values = argument.get_action().takes_values();
    let values = argument.get_possible_values().into_iter().filter(|_| takes_values);
    values.filter(|value| !value.is_hide_set()).map(|value| value.get_name().to_owned()).collect()
}

fn fish_arguments(root: &Command) -> String {
    let mut script = String::new();
    for command in root.get_subcommands() {
        for argument in command.get_positionals() {
            let values = values(argument).join(" ");
            if !values.is_empty() {
                let name = command.get_name();
                script.push_str(&format!(
                    "complete -c bittrace -n \"__fish_bittrace_using_subcommand {name}\" -f -a \"{values}\"\n"
                ));
            }
        }
    }
    script
}

/// Has the script look up the word before the cursor first: after a command or an option with values, these are completed.
fn with_powershell_values(script: &str, root: &Command) -> String {
    let mut lists = String::new();
    let mut list = |key: String, argument: &Arg| {
        let values = values(argument).join(" ");
        if !values.is_empty() {
            lists.push_str(&format!("        '{key}' = '{values}'\n"));
        }
    };
    for command in root.get_subcommands() {
        let name = command.get_name();
        for argument in command.get_arguments() {
            match argument.get_long() {
                Some(long) => list(format!("{name} --{long}"), argument),
                None => list(format!("{name} {name}"), argument),
            }
        }
    }
    let lookup = format!(
        r#"    $values = @{{
{lists}    }}
    $words = @($commandElements | ForEach-Object {{ $_.ToString() }})
    if ($wordToComplete -and $words.Count -gt 1) {{ $words = @($words[0..($words.Count - 2)]) }}
    if ($words.Count -gt 1) {{
        $known = $values["$($words[1]) $($words[-1])"]
        if ($known) {{
            return $known.Split(' ') | Where-Object {{ $_ -like "$wordToComplete*" }} | ForEach-Object {{
                [CompletionResult]::new($_, $_, [CompletionResultType]::ParameterValue, $_)
            }}
        }}
    }}

"#
    );
    let at = script.find("    $completions = @(switch").unwrap_or(script.len());
    format!("{}{lookup}{}", &script[..at], &script[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_completes_rules_messages_and_fields() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell] {
            let script = completion_script(shell);
            for name in
                ["bep3.out-of-range", "suggest-piece", "ws_stream", "slowest", "bittorrent.piece.index"]
            {
                assert!(script.contains(name), "{shell}: {name}");
            }
        }
    }

    #[test]
    fn powershell_looks_values_up_before_it_completes_options() {
        let script = completion_script(Shell::PowerShell);
        let lookup = script.find("$values = @{").expect("the lists are there");
        assert!(lookup < script.find("$completions = @(switch").expect("clap's own completions are there"));
        assert!(script.contains("'explain explain' = '"), "{script}");
        assert!(script.contains("'analyze --sort' = 'bytes sent got rate slowest latency lasted start'"));
    }
}
