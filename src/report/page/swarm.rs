//! Who gave whom in a network of equal hosts, as a table that needs no script: a row gave, a column took.

use std::fmt::{self, Write};

use bittrace_trace::units::{count, counted, rough_size};

use super::markup::{short, shown};
use crate::course::{Course, Swarm, SwarmRow};

/// Writes the table, where no host is local and blocks went from host to host.
pub(super) fn write_swarm(course: &Course, html: &mut String) -> fmt::Result {
    let Some(swarm) = &course.swarm else { return Ok(()) };
    let places: Vec<usize> =
        (0..swarm.rows.len()).filter(|&at| swarm.rows[at].given + swarm.rows[at].taken > 0).collect();
    if places.is_empty() {
        return Ok(());
    }
    let in_groups = match swarm.folded {
        true => format!(" in {}", counted(swarm.rows.len() as u64, "group")),
        false => String::new(),
    };
    let about = format!(
        "{}{in_groups}; a row gave, a column took; the stronger the shade, the more",
        counted(swarm.hosts, "host")
    );
    write!(
        html,
        "<section id=\"swarm\">\n<h2>Who gave whom <span class=\"hint\">{}</span></h2>\n\
         <div class=\"scroll\" tabindex=\"0\"><table class=\"data matrix\">\n<thead><tr><td></td>",
        shown(&about)
    )?;
    for &to in &places {
        write!(html, "<th scope=\"col\">{}</th>", shown(&short(&swarm.rows[to].name)))?;
    }
    html.push_str("<th scope=\"col\">all that it gave</th><th scope=\"col\">for each byte taken</th></tr></thead>\n<tbody>\n");
    let most = swarm.given.iter().flatten().copied().max().unwrap_or(0).max(1);
    for &from in &places {
        let row = &swarm.rows[from];
        write!(
            html,
            "<tr><th scope=\"row\" title=\"{}\">{}</th>",
            shown(&in_full(row, swarm)),
            shown(&short(&row.name))
        )?;
        for &to in &places {
            match swarm.given[from][to] {
                0 => html.push_str("<td></td>"),
                bytes => {
                    let share = (bytes as f64 / most as f64).sqrt();
                    let size = rough_size(bytes);
                    write!(
                        html,
                        "<td class=\"number\" style=\"--share: {:.0}%\">{}</td>",
                        share * 100.0,
                        shown(&size)
                    )?;
                }
            }
        }
        let ratio = match row.taken {
            0 => "–".to_owned(),
            taken => format!("{:.2}", row.given as f64 / taken as f64),
        };
        writeln!(
            html,
            "<td class=\"number\">{}</td><td class=\"number\">{ratio}</td></tr>",
            shown(&rough_size(row.given))
        )?;
    }
    html.push_str("<tr><th scope=\"row\">all that it took</th>");
    for &to in &places {
        write!(html, "<td class=\"number\">{}</td>", shown(&rough_size(swarm.rows[to].taken)))?;
    }
    html.push_str("<td></td><td></td></tr>\n</tbody>\n</table></div>\n");
    if swarm.other > 0 {
        let other = rough_size(swarm.other);
        writeln!(
            html,
            "<p class=\"more\">… and {} between pairs of hosts that are not told apart.</p>",
            shown(&other)
        )?;
    }
    html.push_str("</section>\n");
    Ok(())
}

/// `leecher: 999 hosts, 998 have all 16 pieces`.
fn in_full(row: &SwarmRow, swarm: &Swarm) -> String {
    let have = match (row.hosts, row.whole) {
        (1, 1) => "has all".to_owned(),
        (1, _) => "has not all".to_owned(),
        (_, whole) => format!("{} have all", count(whole)),
    };
    let hosts = if swarm.folded { format!("{}, ", counted(row.hosts, "host")) } else { String::new() };
    format!("{}: {hosts}{have} {}", row.name, counted(swarm.pieces.into(), "piece"))
}
