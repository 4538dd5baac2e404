//! Tables whose rows have one line each: text gives way to numbers, and where even that is not enough the least important
//! columns are left out.

use crate::print::output::{Look, styles};
use crate::print::printable::printable;
use crate::print::table::{columns, fit, pad};

/// A column of a table of lines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LineColumn {
    heading: &'static str,
    kind: ColumnKind,
    /// Columns of a higher number are left out first; those of 0 never are.
    spare: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ColumnKind {
    /// Text, which may be cut to so many columns.
    Text(usize),
    /// Numbers, which are never cut.
    Number,
}

/// A table of lines as text, and the headings of the columns that it left out.
#[derive(Debug)]
pub(crate) struct RenderedLines {
    pub(crate) text: String,
    pub(crate) left_out: Vec<&'static str>,
}

impl LineColumn {
    /// A column of text, cut to no less than `least` columns.
    pub(crate) const fn text(heading: &'static str, least: usize) -> Self {
        Self { heading, kind: ColumnKind::Text(least), spare: 0 }
    }

    /// A column of numbers.
    pub(crate) const fn number(heading: &'static str) -> Self {
        Self { heading, kind: ColumnKind::Number, spare: 0 }
    }

    /// What stands above it.
    pub(crate) const fn heading(&self) -> &'static str {
        self.heading
    }

    /// Whether it is of numbers.
    pub(crate) const fn is_of_numbers(&self) -> bool {
        matches!(self.kind, ColumnKind::Number)
    }

    /// The same column, to be left out for want of room: the highest number first.
    pub(crate) const fn spare(self, spare: u8) -> Self {
        Self { spare, ..self }
    }
}

const INDENT: &str = "  ";

/// Lays out rows of one line each in at most `look.width` columns. Columns without any content are left out silently.
pub(crate) fn render_lines(shape: &[LineColumn], rows: &[Vec<String>], look: Look) -> RenderedLines {
    let cell =
        |row: &Vec<String>, at: usize| row.get(at).map_or(String::new(), |text| printable(text).into_owned());
    let mut used: Vec<usize> =
        (0..shape.len()).filter(|&at| rows.iter().any(|row| !cell(row, at).is_empty())).collect();
    let natural: Vec<usize> = (0..shape.len())
        .map(|at| {
            let content = rows.iter().map(|row| columns(&cell(row, at))).max().unwrap_or(0);
            content.max(columns(shape[at].heading))
        })
        .collect();
    let least = |at: usize| match shape[at].kind {
        ColumnKind::Text(least) => natural[at].min(least.max(columns(shape[at].heading))),
        ColumnKind::Number => natural[at],
    };
    let room = look.width.saturating_sub(INDENT.len());
    let mut left_out = Vec::new();
    while used.iter().map(|&at| least(at) + 1).sum::<usize>() > room + 1 {
        let spare = used.iter().enumerate().filter(|(_, at)| shape[**at].spare > 0);
        let Some((place, _)) = spare.max_by_key(|(_, at)| shape[**at].spare) else { break };
        left_out.push(shape[used.remove(place)].heading);
    }
    let total: usize = used.iter().map(|&at| natural[at]).sum();
    let gaps = used.len().saturating_sub(1);
    let gap = if total + 2 * gaps <= room { 2 } else { 1 };
    let mut widths: Vec<usize> = used.iter().map(|&at| natural[at]).collect();
    while widths.iter().sum::<usize>() + gap * gaps > room {
        let widest = (0..used.len()).filter(|&at| widths[at] > least(used[at])).max_by_key(|&at| widths[at]);
        let Some(widest) = widest else { break };
        widths[widest] -= 1;
    }
    let line = |text: &dyn Fn(usize) -> String| {
        let cells = used.iter().zip(&widths).map(|(&at, &width)| match shape[at].kind {
            ColumnKind::Text(_) => pad(&fit(&text(at), width), width),
            ColumnKind::Number => {
                let number = text(at);
                format!("{}{number}", " ".repeat(width.saturating_sub(columns(&number))))
            }
        });
        let line = format!("{INDENT}{}", cells.collect::<Vec<_>>().join(&" ".repeat(gap)));
        fit(line.trim_end(), look.width)
    };
    let mut text = look.paint(styles::HEADING, &line(&|at| shape[at].heading.to_owned()));
    text.push('\n');
    for row in rows {
        text.push_str(&look.paint(styles::PLAIN, &line(&|at| cell(row, at))));
        text.push('\n');
    }
    RenderedLines { text, left_out }
}

/// A number of bytes in five characters at most: `9999`, `293K`, `1.4M`, the units being 1024, 1024² and so on.
pub(crate) fn short_size(bytes: u64) -> String {
    if bytes < 10_000 {
        return bytes.to_string();
    }
    let mut scaled = bytes as f64 / 1024.0;
    for unit in ["K", "M", "G"] {
        if scaled < 9.95 {
            return format!("{scaled:.1}{unit}");
        }
        if scaled < 1000.0 {
            return format!("{scaled:.0}{unit}");
        }
        scaled /= 1024.0;
    }
    format!("{scaled:.0}T")
}

/// A moment of a capture in seconds since the first packet, in six characters at most up to 11 days: `3.268`, `16.27`,
/// `1234.5`, `98765`.
pub(crate) fn short_moment(seconds: f64) -> String {
    match seconds {
        s if s < 9.9995 => format!("{s:.3}"),
        s if s < 99.995 => format!("{s:.2}"),
        s if s < 9999.95 => format!("{s:.1}"),
        s => format!("{s:.0}"),
    }
}

/// A measured span of time without blanks: `41ms`, `1.25s`, `2m05s`, `3h20m`.
pub(crate) fn short_span(seconds: f64) -> String {
    match seconds {
        s if s < 0.0 => format!("-{}", short_span(-s)),
        s if s < 0.000_999_5 => format!("{:.0}µs", s * 1e6),
        s if s < 0.999_5 => format!("{:.0}ms", s * 1e3),
        s if s < 9.995 => format!("{s:.2}s"),
        s if s < 99.95 => format!("{s:.1}s"),
        s if s < 3599.5 => format!("{}m{:02}s", s.round() as u64 / 60, s.round() as u64 % 60),
        s => format!("{}h{:02}m", s.round() as u64 / 3600, s.round() as u64 / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHAPE: [LineColumn; 4] = [
        LineColumn::text("peer", 6),
        LineColumn::text("client", 6),
        LineColumn::number("start").spare(1),
        LineColumn::number("got"),
    ];

    #[test]
    fn text_is_cut_first_and_then_columns_are_left_out() {
        let row: Vec<String> = ["10.77.0.2", "Transmission", "3.102", "240K"].map(str::to_owned).into();
        let rendered =
            |width| render_lines(&SHAPE, std::slice::from_ref(&row), Look { width, colour: false });
        let wide = "  peer       client        start   got\n  10.77.0.2  Transmission  3.102  240K\n";
        assert_eq!(rendered(80).text, wide);
        let cut = "  peer      client     start  got\n  10.77.0.2 Transmiss… 3.102 240K\n";
        assert_eq!(rendered(33).text, cut);
        let narrow = rendered(22);
        assert_eq!(narrow.left_out, ["start"]);
        assert!(narrow.text.lines().all(|line| columns(line) <= 22), "{}", narrow.text);
    }

    #[test]
    fn amounts_and_times_are_short() {
        let sizes = [0, 9_999, 300_000, 1_500_000, 12_000_000_000].map(short_size);
        assert_eq!(sizes, ["0", "9999", "293K", "1.4M", "11G"]);
        let spans = [0.000_04, 0.041, 1.25, 15.62, 125.4, 12_000.0].map(short_span);
        assert_eq!(spans, ["40µs", "41ms", "1.25s", "15.6s", "2m05s", "3h20m"]);
        let moments = [0.0, 3.2678, 16.272, 9_999.4, 98_765.4].map(short_moment);
        assert_eq!(moments, ["0.000", "3.268", "16.27", "9999.4", "98765"]);
    }

    proptest! {
        #[test]
        fn rows_have_one_line_each_within_the_width(
            rows in prop::collection::vec(prop::collection::vec("[a-zé漢:. -]{0,60}", 4), 1..5),
            width in 40..200_usize,
        ) {
            let text = render_lines(&SHAPE, &rows, Look { width, colour: false }).text;
            prop_assert_eq!(text.lines().count(), rows.len() + 1);
            for line in text.lines() {
                prop_assert!(columns(line) <= width, "{line:?}");
            }
        }
    }
}
