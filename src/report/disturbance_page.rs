//! What a client did when replayed peers disturbed it, as one HTML page: a row a disturbance, with the last messages of the
//! connection that was disturbed.

use std::fmt::Write as _;
use std::io::{self, Write};

use bittrace_trace::units::{count, counted};
use serde::Serialize;

use crate::assets::{DIFF_SCRIPT, DIFF_STYLE, STYLE};
use crate::command_line::CommandLine;
use crate::page::{Shell, shown};

/// What a client did in each run, to be written as a page.
#[derive(Debug)]
pub struct DisturbancePage<'a> {
    /// The version of the program.
    pub version: &'a str,
    /// The command that does the runs.
    pub command: &'a CommandLine,
    /// The client, as it was started.
    pub client: &'a str,
    /// The capture that was played.
    pub reference: &'a str,
    /// Its client.
    pub reference_client: &'a str,
    /// The answer, in a sentence.
    pub verdict: String,
    /// The runs, the undisturbed one first.
    pub runs: Vec<DisturbedRun>,
}

/// What a client did in one run.
#[derive(Debug, Clone, Default)]
pub struct DisturbedRun {
    /// What the peer did, in words.
    pub what: String,
    /// What the client did, in a word.
    pub verdict: &'static str,
    /// Whether the client got everything in spite of the disturbance.
    pub good: bool,
    /// Whether the client got everything.
    pub complete: bool,
    /// What else is worth knowing.
    pub details: Vec<String>,
    /// What the reference's client did in the like case.
    pub reference: Option<String>,
    /// The connection of `messages`, in words.
    pub connection: String,
    /// How many messages the connection had before these.
    pub before: u64,
    /// The last messages of the disturbed connection; of the last connection with a peer where none was disturbed.
    pub messages: Vec<LastMessage>,
    /// How the disturbed connection ended, in a few words.
    pub end: Option<String>,
}

/// One of the last messages of a connection.
#[derive(Debug, Clone, Default)]
pub struct LastMessage {
    /// Its number in the recording of the run.
    pub number: u64,
    /// Seconds since the first message of the run.
    pub elapsed: f64,
    /// Whether the client sent it.
    pub sent: bool,
    /// The message on one line.
    pub summary: String,
}

/// How many messages are shown of a connection.
pub const LAST_MESSAGES: usize = 12;

/// What the script of the page has to know.
#[derive(Debug, Serialize)]
struct DisturbanceData {
    kind: &'static str,
}

impl DisturbancePage<'_> {
    /// Writes the page.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let title = format!("What {} does when a replayed peer misbehaves", self.client);
        let mut body = String::new();
        // Writing to a string fails at nothing.
        let _ = self.body(&title, &mut body);
        let shell = Shell { title: &title, styles: &[STYLE, DIFF_STYLE], scripts: &[DIFF_SCRIPT] };
        shell.write(&body, &DisturbanceData { kind: "disturbances" }, out)
    }

    fn body(&self, title: &str, out: &mut String) -> std::fmt::Result {
        let good = self.runs.iter().all(|run| run.good);
        let (mark, class) = if good { ("✓", "same") } else { ("✕", "differs") };
        writeln!(
            out,
            "<main>\n<header id=\"head\">\n<div class=\"title-row\"><h1>{}</h1><div \
             id=\"tools\"></div></div>\n<p class=\"sentence verdict {class}\"><span \
             aria-hidden=\"true\">{mark}</span> {}</p>\n<p class=\"hint\">The peers of {}, in which {} downloads, were \
             played to the client: once undisturbed, then once for each disturbance.</p>\n</header>\n<section \
             id=\"disturbances\"><h2>Disturbances</h2>\n<div class=\"scroll\" tabindex=\"0\"><table class=\"data\"><thead><tr><th scope=\"col\">the peer</th><th scope=\"col\">verdict</th>\
             <th scope=\"col\">complete</th><th scope=\"col\">in detail</th></tr></thead><tbody>",
            shown(title),
            shown(&self.verdict),
            shown(self.reference),
            shown(self.reference_client)
        )?;
        for run in &self.runs {
            self.run(run, out)?;
        }
        let (version, command) = (shown(self.version), self.command.with("--html"));
        writeln!(
            out,
            "</tbody></table></div></section>\n<footer><p>Made by bittrace {version} with <code>{}</code>. One file: it loads \
             nothing and sends nothing.</p></footer>\n</main>",
            shown(&command)
        )
    }

    fn run(&self, run: &DisturbedRun, out: &mut String) -> std::fmt::Result {
        let (mark, class) = if run.good { ("✓", "same") } else { ("✕", "differs") };
        writeln!(
            out,
            "<tr class=\"run\"><th scope=\"row\">{}</th><td class=\"verdict {class}\"><span aria-hidden=\"true\">{mark}</span> \
             {}</td><td>{}</td><td>{}</td></tr>",
            shown(&run.what),
            run.verdict,
            if run.complete { "yes" } else { "no" },
            shown(&run.details.join("; "))
        )?;
        if run.reference.is_none() && run.messages.is_empty() {
            return Ok(());
        }
        writeln!(out, "<tr class=\"more\"><td colspan=\"4\">")?;
        if let Some(text) = &run.reference {
            writeln!(out, "<p>In the reference, {}: {}</p>", shown(self.reference_client), shown(text))?;
        }
        if !run.messages.is_empty() {
            self.ladder(run, out)?;
        }
        writeln!(out, "</td></tr>")
    }

    fn ladder(&self, run: &DisturbedRun, out: &mut String) -> std::fmt::Result {
        let open = if run.good { "" } else { " open" };
        let before = match run.before {
            0 => String::new(),
            before => format!(", after {} others", count(before)),
        };
        writeln!(
            out,
            "<details{open}><summary>The last {} of {}{before}</summary>\n<table class=\"ladder\"><thead><tr><th scope=\"col\" \
             class=\"number\">n</th><th scope=\"col\" class=\"number\">seconds</th><th scope=\"col\" class=\"lifelines\"><span>client</span> \
             <span>peer</span></th><th scope=\"col\">message</th></tr></thead><tbody>",
            counted(run.messages.len() as u64, "message"),
            shown(&run.connection)
        )?;
        for message in &run.messages {
            let (class, spoken) =
                if message.sent { ("sent", "to the peer") } else { ("received", "to the client") };
            writeln!(
                out,
                "<tr><td class=\"number\">{}</td><td class=\"number\">{:.6}</td><td class=\"lifelines\"><i class=\"{class}\" \
                 role=\"img\" aria-label=\"{spoken}\"></i></td><td>{}</td></tr>",
                message.number,
                message.elapsed,
                shown(&message.summary)
            )?;
        }
        if let Some(end) = &run.end {
            writeln!(
                out,
                "<tr><td></td><td></td><td class=\"lifelines\"><i class=\"end\"></i></td><td>{}</td></tr>",
                shown(end)
            )?;
        }
        writeln!(out, "</tbody></table></details>")
    }
}
