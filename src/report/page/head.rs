//! What stands first on the page of a capture: its name, the sentence that answers first, seven numbers, and the findings,
//! the gravest first.

use std::fmt::{self, Write};

use bittrace_trace::units::{count, counted, rough_size};

use super::markup::shown;
use super::sentence::sentences;
use crate::course::{Course, CourseFinding};

/// Notes that stand open; more are folded away.
const OPEN_NOTES: usize = 4;

/// Buttons of a finding that stand beside it; the script leads to the others from message to message.
const BUTTONS: usize = 12;

/// Writes the head. `read` is how many messages were read, those included that were not chosen.
pub(super) fn write_head(course: &Course, read: u64, html: &mut String) -> fmt::Result {
    let capture = &course.capture;
    let start = capture.start.as_deref().map_or(String::new(), |start| format!(", from {}", moment(start)));
    let about = format!("{}, {}{start}", capture.format, counted(capture.packets, "packet"));
    writeln!(
        html,
        "<header id=\"head\">\n<div class=\"title-row\"><h1>{} <span class=\"of-capture\">{}</span></h1>\
         <div id=\"tools\"></div></div>\n<p class=\"sentence\">{}</p>",
        shown(&capture.name),
        shown(&about),
        sentences(course, read)
    )?;
    write_tiles(course, html)?;
    html.push_str("</header>\n");
    Ok(())
}

/// `2026-11-23 00:30:13 UTC`, of a moment in RFC 3339.
fn moment(rfc3339: &str) -> String {
    let whole = rfc3339.split(['.', 'Z']).next().unwrap_or(rfc3339);
    format!("{} UTC", whole.replace('T', " "))
}

fn write_tiles(course: &Course, html: &mut String) -> fmt::Result {
    let totals = &course.totals;
    let is_known = course.pieces.as_ref().is_some_and(|pieces| pieces.known);
    let verified = match is_known {
        true => format!("{} / {}", count(totals.verified), count(totals.pieces)),
        false => "–".to_owned(),
    };
    let whole = if is_known && totals.verified == totals.pieces { "good" } else { "" };
    let again = if totals.again > 0 { "bad" } else { "" };
    let wrong = if totals.errors > 0 { "bad" } else { "" };
    let findings = [totals.errors, totals.warnings, totals.notes].map(count).join(" · ");
    let peers = if totals.peers == 1 { "peer" } else { "peers" };
    let messages = if totals.messages == 1 { "message" } else { "messages" };
    // Where no host is known to be the local one, blocks are neither received nor sent, but seen.
    let directions = if course.has_roles {
        ["blocks to initiators", "blocks from initiators"]
    } else if course.local.is_some() || totals.messages == 0 {
        ["blocks received", "blocks sent"]
    } else {
        ["blocks to the host that spoke first", "blocks from it"]
    };
    let tiles = [
        (
            whole,
            verified,
            if is_known { "pieces verified" } else { "pieces verified: no torrent" }.to_owned(),
        ),
        ("", rough_size(totals.received), directions[0].to_owned()),
        ("", rough_size(totals.sent), directions[1].to_owned()),
        (again, rough_size(totals.again), "received again".to_owned()),
        ("", count(totals.peers), format!("{peers} in {}", counted(totals.connections, "connection"))),
        ("", count(totals.messages), messages.to_owned()),
        (wrong, findings, "errors · warnings · notes".to_owned()),
    ];
    html.push_str("<div id=\"tiles\">");
    for (class, value, label) in tiles {
        let class = if class.is_empty() { "tile".to_owned() } else { format!("tile {class}") };
        write!(html, "<div class=\"{class}\"><b>{}</b><span>{}</span></div>", shown(&value), shown(&label))?;
    }
    html.push_str("</div>\n");
    Ok(())
}

/// Writes the findings, the most severe first. Notes beyond the first few are folded away.
pub(super) fn write_findings(findings: &[CourseFinding], html: &mut String) -> fmt::Result {
    html.push_str("<section id=\"findings\">\n");
    if findings.is_empty() {
        html.push_str("<div class=\"finding none\"><span class=\"title\">No rule was broken.</span></div>\n");
    }
    let is_note = |finding: &&CourseFinding| finding.severity == "note";
    for finding in findings.iter().filter(|finding| !is_note(finding)) {
        write_finding(finding, html)?;
    }
    let notes: Vec<_> = findings.iter().filter(is_note).collect();
    let (open, folded) = notes.split_at(notes.len().min(OPEN_NOTES));
    for finding in open {
        write_finding(finding, html)?;
    }
    if !folded.is_empty() {
        let more = counted(folded.len() as u64, "more note");
        writeln!(html, "<details><summary>{more}</summary>")?;
        for finding in folded {
            write_finding(finding, html)?;
        }
        html.push_str("</details>\n");
    }
    html.push_str("</section>\n");
    Ok(())
}

fn write_finding(finding: &CourseFinding, html: &mut String) -> fmt::Result {
    let glyph = match finding.severity {
        "error" => '✕',
        "warn" => '▲',
        _ => '●',
    };
    let times = if finding.count > 1 { format!(" ×{}", count(finding.count)) } else { String::new() };
    let source = if finding.source.is_empty() { String::new() } else { format!(" · {}", finding.source) };
    write!(
        html,
        "<div class=\"finding {0}\"><span class=\"glyph\">{glyph} {0}{times}</span><span class=\"title\">{1} \
         <span class=\"first\">– first: {2}</span></span><span class=\"source\">{3}{4}</span><span class=\"links\">",
        finding.severity,
        shown(finding.title),
        shown(&finding.first),
        shown(finding.rule),
        shown(&source)
    )?;
    for n in finding.n.iter().take(BUTTONS) {
        write!(html, "<a href=\"#n={n}\" data-n=\"{n}\">#{n}</a>")?;
    }
    let more = finding.n.len().saturating_sub(BUTTONS);
    if more > 0 {
        write!(html, "<span class=\"more\">… {} more</span>", count(more as u64))?;
    }
    html.push_str("</span></div>\n");
    Ok(())
}
