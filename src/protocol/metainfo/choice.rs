//! Which files of a torrent are wanted: by their numbers (BEP 53, "select only"), or by name.
//!
//! Files are numbered from 0, as they stand in the torrent: in `files` (BEP 3), where padding has numbers too, as libtorrent counts
//! it, or in the file tree (BEP 52). Padding is never wanted for itself.

use std::ops::RangeInclusive;
use std::str::FromStr;

use thiserror::Error;

use super::{File, Metainfo};
use crate::PieceIndex;
use crate::wire::PieceSet;

/// Files of a torrent that may not be known yet.
///
/// ```
/// use bittrace_protocol::metainfo::FileChoice;
///
/// let numbers: FileChoice = "0,2,4-6".parse()?;
/// let pattern: FileChoice = "extras/*.srt".parse()?;
/// let either = numbers.and(pattern);
/// assert!(!either.is_all() && FileChoice::ALL.is_all());
/// # Ok::<(), bittrace_protocol::metainfo::ChoiceError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileChoice {
    /// What is chosen; everything where this is empty.
    parts: Vec<ChoicePart>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum ChoicePart {
    Numbers(RangeInclusive<u32>),
    /// A path, or a pattern of paths.
    Pattern(String),
}

/// Why a choice of files is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChoiceError {
    /// A text of digits, commas and dashes is no list of numbers; or there is no text.
    #[error("{0:?} is not a list of numbers of files, such as 0,2,4-6, nor a name")]
    NotAChoice(String),
    /// The second number of a range is less than the first.
    #[error("{first}-{last} runs backwards: write {last}-{first}")]
    Backwards {
        /// The first number.
        first: u32,
        /// The second number.
        last: u32,
    },
    /// A number that no file can have.
    #[error("no torrent has a file {0}: files are numbered from 0")]
    TooLarge(String),
    /// The torrent has fewer files.
    #[error("the torrent has no file {number}: {}", numbered(*files))]
    NoSuchNumber {
        /// The number that was chosen.
        number: u32,
        /// How many files the torrent has, padding among them.
        files: usize,
    },
    /// No file has the name.
    #[error("no file of the torrent is called {name}: {}", numbered(*files))]
    NoSuchName {
        /// The name, or the pattern.
        name: String,
        /// How many files the torrent has, padding among them.
        files: usize,
    },
    /// All that was chosen is padding.
    #[error("only padding is chosen")]
    PaddingAlone,
}

fn numbered(files: usize) -> String {
    match files {
        0 => "it has no file".to_owned(),
        1 => "it has 1 file, number 0".to_owned(),
        files => format!("it has {files} files, numbered from 0 to {}", files - 1),
    }
}

impl FileChoice {
    /// Every file.
    pub const ALL: Self = Self { parts: Vec::new() };

    /// The files with these numbers; every file where there are no numbers.
    pub fn of_numbers(ranges: &[RangeInclusive<u32>]) -> Self {
        Self { parts: ranges.iter().cloned().map(ChoicePart::Numbers).collect() }
    }

    /// Whether nothing was chosen, so that every file is wanted.
    pub const fn is_all(&self) -> bool {
        self.parts.is_empty()
    }

    /// The files of both choices, where neither is of every file.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.parts.extend(other.parts);
        self
    }

    /// The files of a torrent that are chosen.
    ///
    /// # Errors
    /// When a number or name is that of no file, or only padding is chosen.
    pub fn find_in(&self, torrent: &Metainfo) -> Result<ChosenFiles, ChoiceError> {
        let files = &torrent.files;
        let is_content = |file: &&File| !file.is_padding();
        let of = files.iter().filter(is_content).count();
        if self.is_all() {
            return Ok(ChosenFiles { chosen: None, count: of, of });
        }
        let mut chosen = vec![false; files.len()];
        for part in &self.parts {
            match part {
                ChoicePart::Numbers(range) => {
                    let no_such = || ChoiceError::NoSuchNumber { number: *range.end(), files: files.len() };
                    // A link may name four billion.
                    let range = *range.start() as usize..=*range.end() as usize;
                    chosen.get_mut(range).ok_or_else(no_such)?.fill(true);
                }
                ChoicePart::Pattern(pattern) => {
                    let mut any = false;
                    for (chosen, file) in chosen.iter_mut().zip(files).filter(|(_, file)| is_content(file)) {
                        if is_named(torrent, file, pattern) {
                            (*chosen, any) = (true, true);
                        }
                    }
                    if !any {
                        let name = pattern.clone();
                        return Err(ChoiceError::NoSuchName { name, files: files.len() });
                    }
                }
            }
        }
        for (chosen, _) in chosen.iter_mut().zip(files).filter(|(_, file)| file.is_padding()) {
            *chosen = false;
        }
        let count = chosen.iter().filter(|chosen| **chosen).count();
        match count {
            0 if of > 0 => Err(ChoiceError::PaddingAlone),
            _ => Ok(ChosenFiles { chosen: (count < of).then_some(chosen), count, of }),
        }
    }
}

impl FromStr for FileChoice {
    type Err = ChoiceError;

    /// A list of numbers and ranges of numbers, such as `0,2,4-6`; or else a path or the name of a file or folder, in which `*`
    /// stands for any characters and `?` for one.
    fn from_str(text: &str) -> Result<Self, ChoiceError> {
        let text = text.trim();
        let are_numbers = text.bytes().all(|byte| byte.is_ascii_digit() || b",- ".contains(&byte));
        if !are_numbers {
            return Ok(Self { parts: vec![ChoicePart::Pattern(text.to_owned())] });
        }
        let numbers = text.replace(' ', "");
        let ranges = number_ranges(&numbers);
        ranges.map(|ranges| Self::of_numbers(&ranges)).ok_or_else(|| why_no_ranges(text, &numbers))
    }
}

/// The files of a torrent that are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenFiles {
    /// Whether each file is wanted; `None` where all are.
    chosen: Option<Vec<bool>>,
    count: usize,
    of: usize,
}

impl ChosenFiles {
    /// Whether every file is wanted.
    pub const fn is_all(&self) -> bool {
        self.chosen.is_none()
    }

    /// Whether a file is wanted, by its number. Where every file is, padding is too.
    pub fn has(&self, file: usize) -> bool {
        self.chosen.as_ref().is_none_or(|chosen| chosen.get(file) == Some(&true))
    }

    /// How many files are wanted, without padding.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// How many files the torrent has, without padding.
    pub const fn of(&self) -> usize {
        self.of
    }

    /// The pieces in which bytes of the wanted files lie; none of a torrent whose pieces are not placed.
    pub fn pieces(&self, torrent: &Metainfo) -> PieceSet {
        let Some(geometry) = torrent.placement() else { return PieceSet::none(0) };
        if self.is_all() {
            return PieceSet::all(geometry.piece_count());
        }
        let mut pieces = PieceSet::none(geometry.piece_count());
        for file in (0..torrent.files.len()).filter(|&file| self.has(file)) {
            for piece in geometry.pieces_of(file) {
                pieces.insert(PieceIndex(piece));
            }
        }
        pieces
    }
}

/// Whether a pattern stands for a file, for its name alone, or for a folder around it. The torrent's own name may stand before.
fn is_named(torrent: &Metainfo, file: &File, pattern: &str) -> bool {
    let pattern = pattern.strip_suffix('/').unwrap_or(pattern);
    let name = torrent.name.to_string();
    let path = if torrent.single_file { name.clone() } else { file.path_text() };
    let whole = format!("{name}/{path}");
    let folders = |text: &str| {
        let ends = text.match_indices('/').map(|(at, _)| at).chain([text.len()]);
        ends.into_iter().any(|end| is_like(&text[..end], pattern))
    };
    let last = path.rsplit('/').next().unwrap_or_default();
    folders(&path) || is_like(last, pattern) || (!torrent.single_file && folders(&whole))
}

/// Whether a text is like a pattern, in which `*` stands for any characters, slashes too, and `?` for one.
fn is_like(text: &str, pattern: &str) -> bool {
    let (mut text, mut pattern) = (text.chars(), pattern.chars());
    // What follows the last star, and the text from where it was tried.
    let mut last_star = None;
    loop {
        let mut next = pattern.clone();
        match (next.next(), text.clone().next()) {
            (Some('*'), _) => {
                pattern = next;
                last_star = Some((pattern.clone(), text.clone()));
            }
            (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {
                pattern = next;
                text.next();
            }
            (None, None) => return true,
            _ => {
                // The star takes one character more.
                let Some((after, tried)) = &mut last_star else { return false };
                if tried.next().is_none() {
                    return false;
                }
                (pattern, text) = (after.clone(), tried.clone());
            }
        }
    }
}

/// Numbers and ranges of numbers, with commas between; `None` where the text is something else.
pub(crate) fn number_ranges(text: &str) -> Option<Vec<RangeInclusive<u32>>> {
    let number = |digits: &str| digits.parse::<u32>().ok().filter(|_| !digits.starts_with('+'));
    let ranges = text.split(',').map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        (first <= last).then_some(first..=last)
    });
    ranges.collect()
}

/// Why a text of digits, commas and dashes is no list of ranges.
fn why_no_ranges(text: &str, numbers: &str) -> ChoiceError {
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    for part in numbers.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if !is_number(first) || !is_number(last) {
            break;
        }
        match (first.parse(), last.parse()) {
            (Ok(first), Ok(last)) if first > last => return ChoiceError::Backwards { first, last },
            (Ok(_), Ok(_)) => {}
            (Err(_), _) => return ChoiceError::TooLarge(first.to_owned()),
            (_, Err(_)) => return ChoiceError::TooLarge(last.to_owned()),
        }
    }
    ChoiceError::NotAChoice(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five files in pieces of 16,384 bytes; the third is padding.
    fn torrent() -> Metainfo {
        let files = [
            ("d6:lengthi20000e4:pathl1:aee", 20_000),
            ("d6:lengthi10000e4:pathl3:sub5:b.txtee", 10_000),
            ("d4:attr1:p6:lengthi2768e4:pathl4:.pad4:2768ee", 2_768),
            ("d6:lengthi16384e4:pathl3:sub5:inner5:c.txtee", 16_384),
            ("d6:lengthi0e4:pathl5:emptyee", 0),
        ];
        let list: String = files.iter().map(|(file, _)| *file).collect();
        let total: usize = files.iter().map(|(_, length)| length).sum();
        let mut info =
            format!("d5:filesl{list}e4:name3:top12:piece lengthi16384e6:pieces{}:", total / 16_384 * 20)
                .into_bytes();
        info.extend(vec![b'a'; total / 16_384 * 20]);
        info.push(b'e');
        Metainfo::decode_info(&info).expect("a torrent")
    }

    fn chosen(text: &str) -> Result<Vec<usize>, ChoiceError> {
        let torrent = torrent();
        let chosen = text.parse::<FileChoice>()?.find_in(&torrent)?;
        Ok((0..torrent.files.len()).filter(|&file| chosen.has(file)).collect())
    }

    #[test]
    fn files_are_chosen_by_number_and_padding_is_passed_over() {
        assert_eq!(chosen("0"), Ok(vec![0]));
        assert_eq!(chosen(" 1-3, 0 "), Ok(vec![0, 1, 3]));
        assert_eq!(chosen("0,1,3-4"), Ok(vec![0, 1, 2, 3, 4]), "everything but padding is everything");
        assert_eq!(chosen("1-3"), Ok(vec![1, 3]));
        assert_eq!(chosen("2"), Err(ChoiceError::PaddingAlone));
        let all = FileChoice::ALL.find_in(&torrent()).expect("a choice");
        assert_eq!((all.is_all(), all.count(), all.of()), (true, 4, 4));
    }

    #[test]
    fn a_number_beyond_the_files_says_how_many_there_are() {
        for (text, number) in [("5", 5), ("0,3-4294967295", u32::MAX)] {
            assert_eq!(chosen(text), Err(ChoiceError::NoSuchNumber { number, files: 5 }), "{text}");
        }
        let error = ChoiceError::NoSuchNumber { number: 5, files: 5 };
        assert_eq!(error.to_string(), "the torrent has no file 5: it has 5 files, numbered from 0 to 4");
    }

    #[test]
    fn files_are_chosen_by_path_name_folder_and_pattern() {
        for (text, files) in [
            ("a", &[0][..]),
            ("top/a", &[0]),
            ("sub/b.txt", &[1]),
            ("b.txt", &[1]),
            ("sub", &[1, 3]),
            ("sub/", &[1, 3]),
            ("top/sub/inner", &[3]),
            ("*.txt", &[1, 3]),
            ("?.txt", &[1, 3]),
            ("s*r/c*", &[3]),
            ("empty", &[4]),
        ] {
            assert_eq!(chosen(text), Ok(files.to_vec()), "{text}");
        }
        for text in ["b", "*.tx", ".pad", "su", "top/b.txt/", "A"] {
            assert!(matches!(chosen(text), Err(ChoiceError::NoSuchName { files: 5, .. })), "{text}");
        }
    }

    #[test]
    fn rejects_what_is_no_list_of_numbers() {
        for text in ["", "1,", "-", "1-2-3", "4-", "2,4 5-", "-99999999999"] {
            assert_eq!(chosen(text), Err(ChoiceError::NotAChoice(text.to_owned())), "{text}");
        }
        assert_eq!(chosen("0,4-2"), Err(ChoiceError::Backwards { first: 4, last: 2 }));
        for text in ["4294967296", "1-4294967296"] {
            assert_eq!(chosen(text), Err(ChoiceError::TooLarge("4294967296".to_owned())), "{text}");
        }
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (text, pattern) in [("", "*"), ("abc", "a*c"), ("abcbd", "a*b?"), ("aab", "*ab"), ("é.x", "?.x")]
        {
            assert!(is_like(text, pattern), "{text} {pattern}");
        }
        for (text, pattern) in [("", "?"), ("ab", "a"), ("abd", "a*c"), ("a", "a?*")] {
            assert!(!is_like(text, pattern), "{text} {pattern}");
        }
    }

    #[test]
    fn the_pieces_of_chosen_files_are_wanted_whole() {
        let torrent = torrent();
        let pieces = |text: &str| {
            let chosen =
                text.parse::<FileChoice>().and_then(|choice| choice.find_in(&torrent)).expect("files");
            chosen.pieces(&torrent).iter().map(|piece| piece.0).collect::<Vec<_>>()
        };
        assert_eq!(
            (pieces("0"), pieces("1"), pieces("3"), pieces("4")),
            (vec![0, 1], vec![1], vec![2], vec![])
        );
        assert_eq!(pieces("0-4"), [0, 1, 2]);
    }
}
