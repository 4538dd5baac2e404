//! `analyze --view map`: pieces over time. A row is a piece, or some of them, a column a stretch of time; a letter says who
//! sent blocks, a line that the pieces are verified, a cross that one of them was whole and wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;

use bittrace_report::{Blocks, Course, Micros, Pieces};
use bittrace_trace::units::{count, counted};

use super::time_axis::TimeAxis;
use crate::print::output::styles;
use crate::print::page::Page;
use crate::print::printable::printable;
use crate::print::table::{columns, fit};

/// How many rows a map has at most.
const ROWS: usize = 40;

/// How many far ends have a letter; blocks of others are `+`.
const LETTERS: usize = 16;

/// How many far ends that sent a wrong piece are named beside its row.
const WRONG_FROM: usize = 3;

/// How many columns an axis has at the least; how the pieces of a row stand is cut for it.
const LEAST_AXIS: usize = 24;

/// Writes the map of a capture.
pub(crate) fn write(course: &Course, page: &mut Page<'_>) -> io::Result<()> {
    let Some(pieces) = course.pieces.as_ref().filter(|pieces| pieces.count > 0) else {
        page.heading(&format!("Pieces in {}", course.capture.name))?;
        return page.paragraph("No blocks, and no torrent that says which pieces there are.", 2);
    };
    Map::new(course, pieces).write(page)
}

/// The pieces of each row, in the order of the rows; none where there is no map.
pub(crate) fn rows(course: &Course) -> Vec<Range<u32>> {
    let Some(pieces) = course.pieces.as_ref().filter(|pieces| pieces.count > 0) else { return Vec::new() };
    let step = pieces_of_a_row(pieces);
    (0..pieces.count).step_by(step as usize).map(|first| first..(first + step).min(pieces.count)).collect()
}

/// How many pieces a row is. Rows hold whole cells, so that no cell has to be divided.
fn pieces_of_a_row(pieces: &Pieces) -> u32 {
    let step = pieces.per_row.max(1);
    pieces.count.div_ceil(ROWS as u32).div_ceil(step) * step
}

/// A map before it is laid out.
struct Map<'a> {
    course: &'a Course,
    pieces: &'a Pieces,
    /// How many pieces a row is.
    per_row: u32,
    rows: Vec<MapRow>,
    /// The place of each far end with a letter, in [`Course::ends`].
    letters: Vec<i32>,
    /// Whether all checks are known, and not only some of each stretch of time.
    has_all_checks: bool,
}

/// Some pieces.
#[derive(Debug, Clone, Default)]
struct MapRow {
    /// When each of its pieces was first found right.
    right: BTreeMap<u32, Micros>,
    /// When pieces were found wrong.
    wrong: Vec<Micros>,
    /// The far ends whose blocks were in these.
    wrong_from: BTreeSet<i32>,
    /// How many of its cells have each state of [`bittrace_report::PieceCells`].
    states: [u32; 5],
}

/// A block, or the blocks of a cell.
struct BlocksAt {
    t: Micros,
    piece: u32,
    end: i32,
    /// Whether the local host sent them.
    is_out: bool,
    /// Whether they are of an attempt at a piece that had the wrong hash.
    is_wrong: bool,
    number: u64,
}

/// Blocks of a row in a column, by far end and direction.
type Sent = BTreeMap<(i32, bool), u64>;

/// What a place of the map shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Nothing,
    /// Some of the pieces are verified.
    Some,
    Verified,
    Wrong,
    /// Blocks of the far end with this letter, `None` for others. `true` where the local host sent them.
    Blocks(Option<usize>, bool),
}

impl<'a> Map<'a> {
    fn new(course: &'a Course, pieces: &'a Pieces) -> Self {
        let per_row = pieces_of_a_row(pieces);
        let mut rows = vec![MapRow::default(); pieces.count.div_ceil(per_row) as usize];
        for (first, state) in pieces.cells.first.iter().zip(&pieces.cells.state) {
            if let Some(row) = rows.get_mut((first / per_row) as usize) {
                row.states[usize::from(*state).min(4)] += 1;
            }
        }
        let checked = &pieces.checked;
        for ((t, piece), ok) in checked.t.iter().zip(&checked.piece).zip(&checked.ok) {
            let Some(row) = rows.get_mut((piece / per_row) as usize) else { continue };
            match ok {
                0 => row.wrong.push(*t),
                _ => drop(row.right.entry(*piece).or_insert(*t)),
            }
        }
        let has_all_checks = checked.right + checked.wrong == checked.t.len() as u64;
        let mut map = Self { course, pieces, per_row, rows, letters: Vec::new(), has_all_checks };
        let mut senders: Vec<i32> = map.blocks().map(|blocks| blocks.end).filter(|end| *end >= 0).collect();
        senders.sort_unstable();
        senders.dedup();
        // Far ends are in the order of what they carried.
        senders.truncate(LETTERS);
        map.letters = senders;
        let wrong = map.blocks().filter(|blocks| blocks.is_wrong && !blocks.is_out);
        let wrong: Vec<(u32, i32)> = wrong.map(|blocks| (blocks.piece / per_row, blocks.end)).collect();
        for (row, end) in wrong {
            if let Some(row) = map.rows.get_mut(row as usize) {
                row.wrong_from.insert(end);
            }
        }
        map
    }

    /// Each block, or the blocks of each cell.
    fn blocks(&self) -> Box<dyn Iterator<Item = BlocksAt> + '_> {
        match &self.course.blocks {
            Blocks::Each(each) => Box::new((0..each.t.len()).map(|at| BlocksAt {
                t: each.t[at],
                piece: each.piece[at],
                end: each.end[at],
                is_out: each.out[at] == 1,
                is_wrong: each.flag[at] == 1,
                number: 1,
            })),
            Blocks::Grid(grid) => Box::new((0..grid.cell_bin.len()).map(|at| BlocksAt {
                t: Micros::from(grid.cell_bin[at]) * grid.bin,
                piece: grid.cell_row[at] * grid.per_row,
                end: grid.cell_end[at],
                is_out: false,
                is_wrong: grid.cell_wrong[at] == 1,
                number: u64::from(grid.cell_count[at]),
            })),
        }
    }

    fn write(&self, page: &mut Page<'_>) -> io::Result<()> {
        let width = page.look.width;
        let labels: Vec<String> = (0..self.rows.len()).map(|at| self.label(at)).collect();
        let lead = labels.iter().map(|label| columns(label)).max().unwrap_or(0) + 4;
        let tails: Vec<String> = (0..self.rows.len()).map(|at| self.tail(at)).collect();
        let longest = tails.iter().map(|tail| columns(&printable(tail))).max().unwrap_or(0);
        let tail = longest.min(width.saturating_sub(lead + 2 + LEAST_AXIS));
        let bin = match &self.course.blocks {
            Blocks::Each(_) => None,
            Blocks::Grid(grid) => Some(grid.bin),
        };
        let axis = TimeAxis::new(self.course.span[1], bin, width.saturating_sub(lead + 2 + tail).max(1));
        let of_row = match self.per_row {
            1 => "a row is a piece".to_owned(),
            several => format!("a row is {}", counted(several.into(), "piece")),
        };
        axis.heading(&format!("Pieces of {}", self.pieces.name), &of_row, page)?;
        axis.ticks_line(lead, page)?;
        let places = self.places(axis);
        for (at, row) in places.iter().enumerate() {
            let line = self.painted_row(row, page);
            let label = format!("{:>width$}  ", labels[at], width = lead - 2);
            let label = page.look.paint(styles::DIM, &label);
            let style = if self.rows[at].states[4] > 0 { styles::ERROR } else { styles::PLAIN };
            let tail = page.look.paint(style, &fit(&tails[at], tail));
            io::Write::write_fmt(page, format_args!("{}\n", format!("{label}{line}  {tail}").trim_end()))?;
        }
        self.legend(&places, page)
    }

    fn label(&self, row: usize) -> String {
        let first = row as u32 * self.per_row;
        let last = (first + self.per_row).min(self.pieces.count) - 1;
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    }

    /// How the pieces of a row stand at the end, the worst first.
    fn tail(&self, row: usize) -> String {
        let row = &self.rows[row];
        let [missing, partial, unchecked, verified, wrong] = row.states;
        let all: u32 = row.states.iter().sum();
        // Cells that stand for several pieces say only which is the worst.
        let is_counted = self.pieces.per_row == 1 && self.per_row > 1;
        let some = |number: u32, word: &str| match number == all {
            true => word.to_owned(),
            false if is_counted => format!("{} {word}", count(number.into())),
            false => format!("some {word}"),
        };
        let mut text = match (wrong, missing, partial, unchecked, verified) {
            (1.., ..) => some(wrong, "wrong"),
            (_, 1.., ..) => some(missing, "missing"),
            (_, _, 1.., ..) => some(partial, "partial"),
            (_, _, _, 1.., _) => some(unchecked, "not checked"),
            _ => "✓".to_owned(),
        };
        match row.wrong.len() {
            0 => {}
            _ if !self.has_all_checks => text.push_str(", after wrong hashes"),
            times if wrong == 0 => text.push_str(&format!(", after {times} × wrong")),
            1 => {}
            times => text.push_str(&format!(", {times} times")),
        }
        // A cross stands in the place of the letter.
        let letter = |end: &i32| Some(Place::Blocks(Some(self.letter(*end)?), false).glyph().to_string());
        let from: Vec<String> = row.wrong_from.iter().filter_map(letter).take(WRONG_FROM).collect();
        if !from.is_empty() {
            text.push_str(&format!(" from {}", from.join(" ")));
        }
        text
    }

    /// The letter of a far end, counted from 0.
    fn letter(&self, end: i32) -> Option<usize> {
        self.letters.iter().position(|known| *known == end)
    }

    /// What each place of each row shows.
    fn places(&self, axis: TimeAxis) -> Vec<Vec<Place>> {
        let mut sent: BTreeMap<(usize, usize), Sent> = BTreeMap::new();
        for blocks in self.blocks() {
            let place = ((blocks.piece / self.per_row) as usize, axis.column_of(blocks.t));
            let of_place = sent.entry(place).or_default();
            *of_place.entry((blocks.end, blocks.is_out)).or_default() += blocks.number;
        }
        let row = |(at, row): (usize, &MapRow)| {
            let pieces = (self.pieces.count - at as u32 * self.per_row).min(self.per_row) as usize;
            let is_right = row.states[..3].iter().all(|number| *number == 0) && row.states[4] == 0;
            // With some of the checks alone, the row is verified when the last that is known is.
            let is_complete = row.right.len() == pieces || is_right && !self.has_all_checks;
            let first = row.right.values().min().map(|t| axis.column_of(*t));
            let all = row.right.values().max().filter(|_| is_complete).map(|t| axis.column_of(*t));
            let wrong: Vec<usize> = row.wrong.iter().map(|t| axis.column_of(*t)).collect();
            let place = |column: usize| {
                if wrong.contains(&column) {
                    return Place::Wrong;
                }
                // The far end that sent most; of those that sent as much, the one that carried more in all.
                let most = sent.get(&(at, column)).and_then(|sent| {
                    sent.iter()
                        .max_by_key(|((end, is_out), number)| (**number, std::cmp::Reverse((*end, *is_out))))
                });
                if let Some(((end, is_out), _)) = most {
                    return Place::Blocks(self.letter(*end), *is_out);
                }
                match (all, first) {
                    (Some(all), _) if column >= all => Place::Verified,
                    (_, Some(first)) if column >= first => Place::Some,
                    _ => Place::Nothing,
                }
            };
            (0..axis.columns).map(place).collect()
        };
        self.rows.iter().enumerate().map(row).collect()
    }

    /// A row of the map, stretches of one style painted together.
    fn painted_row(&self, places: &[Place], page: &Page<'_>) -> String {
        let mut line = String::new();
        for same in places.chunk_by(|one, other| self.style(*one) == self.style(*other)) {
            let text: String = same.iter().map(|place| place.glyph()).collect();
            line.push_str(&page.look.paint(self.style(same[0]), &text));
        }
        line
    }

    /// The colour of a far end, which the four first have; red for what is wrong.
    fn style(&self, place: Place) -> anstyle::Style {
        match place {
            Place::Wrong => styles::ERROR,
            Place::Blocks(Some(letter), _) => styles::FIELDS.get(letter).copied().unwrap_or_default(),
            Place::Blocks(None, _) => styles::PLAIN,
            Place::Nothing | Place::Some | Place::Verified => styles::DIM,
        }
    }

    fn legend(&self, places: &[Vec<Place>], page: &mut Page<'_>) -> io::Result<()> {
        let has = |wanted: &dyn Fn(&Place) -> bool| places.iter().flatten().any(wanted);
        let mut parts: Vec<String> = Vec::new();
        for (letter, place) in self.letters.iter().enumerate() {
            let is_shown = |out: bool| move |place: &Place| matches!(place, Place::Blocks(Some(at), is_out) if *at == letter && *is_out == out);
            let Some(end) = self.course.ends.get(*place as usize) else { continue };
            for (out, word) in [(false, ""), (true, "to ")] {
                if has(&is_shown(out)) || !out && self.rows.iter().any(|row| row.wrong_from.contains(place)) {
                    let glyph = Place::Blocks(Some(letter), out).glyph();
                    parts.push(format!("{glyph} {word}{}", end.address));
                }
            }
        }
        for (place, meaning) in [
            (Place::Blocks(None, false), "other peers"),
            (Place::Wrong, "whole, wrong hash"),
            (Place::Verified, "verified"),
            (Place::Some, "some verified"),
        ] {
            if has(&|shown| place.glyph() == shown.glyph()) {
                parts.push(format!("{} {meaning}", place.glyph()));
            }
        }
        if self.pieces.other_blocks > 0 {
            parts
                .push(format!("not shown: {} of other torrents", counted(self.pieces.other_blocks, "block")));
        }
        page.items(&parts, 2, styles::DIM)
    }
}

impl Place {
    fn glyph(self) -> char {
        match self {
            Self::Nothing => ' ',
            Self::Some => '─',
            Self::Verified => '━',
            Self::Wrong => '✕',
            Self::Blocks(None, _) => '+',
            Self::Blocks(Some(letter), is_out) => {
                let first = if is_out { b'A' } else { b'a' };
                char::from(first + (letter % LETTERS) as u8)
            }
        }
    }
}
