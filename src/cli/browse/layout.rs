//! Where the panes are on a screen of some size.

use ratatui::layout::{Position, Rect, Size};

/// The smallest screen that everything has room on, in columns and rows.
pub(crate) const SMALLEST: Size = Size { width: 60, height: 16 };

/// From this width on the bytes stand beside the fields, below it under them.
const SIDE_BY_SIDE: u16 = 100;

/// From this height on there is a strip of all messages by time.
const WITH_STRIP: u16 = 24;

/// The fewest rows that a pane has.
const FEWEST: u16 = 2;

/// The areas of the screen with messages. A pane's title is the row above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) title: Rect,
    pub(crate) header: Rect,
    pub(crate) list: Rect,
    pub(crate) fields: Rect,
    pub(crate) bytes: Rect,
    pub(crate) strip: Option<Rect>,
    pub(crate) bar: Rect,
}

/// A pane of the screen with messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pane {
    List,
    Fields,
    Bytes,
}

impl Layout {
    /// The areas of a screen; `None` where the screen is smaller than [`SMALLEST`]. `list` is how many rows the list is to
    /// have, where somebody said so.
    pub(crate) fn of(size: Size, list: Option<u16>) -> Option<Self> {
        let Size { width, height } = size;
        if width < SMALLEST.width || height < SMALLEST.height {
            return None;
        }
        let row = |y: u16, rows: u16| Rect::new(0, y, width, rows);
        let strip = (height >= WITH_STRIP).then(|| row(height - 2, 1));
        let below = height - 1 - u16::from(strip.is_some());
        let side_by_side = width >= SIDE_BY_SIDE;
        let titles = if side_by_side { 1 } else { 2 };
        let panes = if side_by_side { 1 } else { 2 };
        let rows = below - 2 - titles;
        let usual = if side_by_side { rows * 3 / 5 } else { rows / 2 };
        let list = list.unwrap_or(usual).clamp(FEWEST, rows - panes * FEWEST);
        let top = 2 + list + 1;
        let (fields, bytes) = match side_by_side {
            true => {
                let bytes = if width >= 140 { 75 } else { 42 };
                let rows = below - top;
                (Rect::new(0, top, width - bytes - 1, rows), Rect::new(width - bytes, top, bytes, rows))
            }
            false => {
                let rows = below - top - 1;
                let fields = rows.div_ceil(2);
                (row(top, fields), row(top + fields + 1, rows - fields))
            }
        };
        Some(Self {
            title: row(0, 1),
            header: row(1, 1),
            list: row(2, list),
            fields,
            bytes,
            strip,
            bar: row(height - 1, 1),
        })
    }

    /// The rows of the screens beside the messages: all between the header and the bar.
    pub(crate) const fn table(&self) -> Rect {
        Rect { y: self.list.y, height: self.bar.y - self.list.y, ..self.list }
    }

    /// The pane at a place.
    pub(crate) fn pane(&self, at: Position) -> Option<Pane> {
        let panes = [(self.list, Pane::List), (self.fields, Pane::Fields), (self.bytes, Pane::Bytes)];
        panes.into_iter().find(|(area, _)| area.contains(at)).map(|(_, pane)| pane)
    }

    /// Whether the border between the list and the panes below it is at a place.
    pub(crate) const fn is_border(&self, at: Position) -> bool {
        at.y + 1 == self.fields.y
    }

    /// How many bytes stand on a row of the bytes.
    pub(crate) const fn bytes_on_a_row(&self) -> usize {
        match self.bytes.width {
            74.. => 16,
            40.. => 8,
            _ => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pane_has_rows_on_every_screen_and_none_covers_another() {
        for width in 60..170 {
            for height in 16..60 {
                for list in [None, Some(0), Some(7), Some(u16::MAX)] {
                    let layout = Layout::of(Size { width, height }, list).unwrap();
                    let areas =
                        [layout.title, layout.header, layout.list, layout.fields, layout.bytes, layout.bar];
                    let areas: Vec<Rect> = areas.into_iter().chain(layout.strip).collect();
                    for (at, area) in areas.iter().enumerate() {
                        assert!(
                            area.height > 0 && area.bottom() <= height && area.right() <= width,
                            "{layout:?}"
                        );
                        assert!(areas[..at].iter().all(|other| !other.intersects(*area)), "{layout:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_smaller_screen_has_no_room() {
        assert_eq!(Layout::of(Size { width: 59, height: 40 }, None), None);
        assert_eq!(Layout::of(Size { width: 200, height: 15 }, None), None);
    }
}
