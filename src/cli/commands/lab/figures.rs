//! `bittrace lab figures`: published results, run again, with a verdict on each rule.

use std::io::Write;

use anyhow::{Result, bail};
use bittrace_lab::{Figure, Finding, Outcome};
use bittrace_trace::units::{percent, span};
use serde_json::{Value, json};

use crate::Exit;
use crate::args::{Common, FiguresArguments, LabFormat};
use crate::failure::warn;
use crate::interrupt::interrupted;
use crate::print::json::write_line;
use crate::print::output::Output;
use crate::print::page::Page;
use crate::print::table::Column;

/// Runs the command.
pub(crate) fn figures(arguments: &FiguresArguments, common: Common, mut output: Output) -> Result<Exit> {
    let mut exit = Exit::Done;
    for figure in chosen(&arguments.names)? {
        if arguments.scenarios {
            for case in figure.cases() {
                let text: String = case.scenario.lines().map(|line| format!("{}\n", line.trim())).collect();
                writeln!(output, "# {}: {}\n{text}", figure.name, case.label)?;
            }
            continue;
        }
        let mut outcomes = Vec::new();
        for case in figure.cases() {
            outcomes.push(case.run(|| !interrupted())?);
            if interrupted() {
                warn(common, &format!("interrupted in {}", figure.name));
                return Ok(Exit::Interrupted);
            }
        }
        let findings = figure.judge(&outcomes);
        if findings.iter().any(|finding| !finding.holds) {
            exit = Exit::Matched;
        }
        match arguments.format {
            LabFormat::Table => write_table(figure, &outcomes, &findings, &mut output)?,
            LabFormat::Json => write_json(figure, &outcomes, &findings, &mut output)?,
        }
        output.flush()?;
    }
    Ok(exit)
}

fn chosen(names: &[String]) -> Result<Vec<&'static Figure>> {
    if names.is_empty() {
        return Ok(Figure::all().iter().collect());
    }
    let mut chosen = Vec::new();
    for name in names {
        let Some(figure) = Figure::all().iter().find(|figure| figure.name == name) else {
            let known: Vec<_> = Figure::all().iter().map(|figure| figure.name).collect();
            bail!("figures: unknown name \"{name}\"; there are {}", known.join(", "));
        };
        chosen.push(figure);
    }
    Ok(chosen)
}

fn write_table(
    figure: &Figure,
    outcomes: &[Outcome],
    findings: &[Finding],
    output: &mut Output,
) -> Result<()> {
    let look = output.look;
    let mut page = Page::new(look, output);
    page.title(figure.title)?;
    page.paragraph(figure.source, 2)?;
    let columns = [
        Column::text("case", 20),
        Column::numbers("hosts"),
        Column::numbers("time"),
        Column::numbers("median"),
        Column::numbers("last"),
        Column::numbers("bound"),
        Column::numbers("link"),
        Column::numbers("copies"),
    ];
    let rows: Vec<Vec<String>> = outcomes
        .iter()
        .map(|outcome| {
            let summary = &outcome.summary;
            let numbers = summary.numbers();
            let came: f64 =
                numbers.iter().filter(|(name, _)| name.ends_with(".came")).map(|(_, came)| came).sum();
            let median = numbers.iter().find(|(name, _)| name.ends_with(".took")).map(|(_, took)| *took);
            vec![
                outcome.label.clone(),
                format!("{came:.0}"),
                span(summary.seconds),
                median.map_or(String::new(), span),
                summary.last.map_or(String::new(), span),
                summary.bound.map_or(String::new(), span),
                summary.used.map_or(String::new(), percent),
                format!("{:.2}", summary.copies),
            ]
        })
        .collect();
    page.table(&columns, &rows)?;
    let columns = [Column::text("verdict", 7), Column::text("rule", 40), Column::text("seen", 24)];
    let rows: Vec<Vec<String>> = findings
        .iter()
        .map(|finding| {
            let verdict = if finding.holds { "holds" } else { "fails" };
            vec![verdict.to_owned(), finding.rule.clone(), finding.seen.clone()]
        })
        .collect();
    writeln!(page)?;
    page.table(&columns, &rows)?;
    writeln!(page)?;
    Ok(())
}

fn write_json(
    figure: &Figure,
    outcomes: &[Outcome],
    findings: &[Finding],
    output: &mut Output,
) -> Result<()> {
    let cases: Vec<Value> = outcomes
        .iter()
        .map(|outcome| json!({ "label": outcome.label, "numbers": outcome.summary.numbers() }))
        .collect();
    let findings: Vec<Value> = findings
        .iter()
        .map(|finding| json!({ "rule": finding.rule, "seen": finding.seen, "holds": finding.holds }))
        .collect();
    let object = json!({
        "figure": figure.name,
        "title": figure.title,
        "source": figure.source,
        "cases": cases,
        "findings": findings,
    });
    Ok(write_line(&object, output)?)
}
