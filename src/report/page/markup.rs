//! Text as HTML. All text that a page shows goes through [`shown`]: what a peer, a tracker, a torrent or a file name says
//! can never become markup, and never hides or turns what stands beside it.

use std::fmt::{self, Write};

use bittrace_trace::record::disguises;

/// Text that is safe between tags and inside a quoted attribute. Characters that are obeyed and not seen (see
/// [`disguises`]) are written as `\u202e`.
pub fn shown(text: &str) -> Shown<'_> {
    Shown(text)
}

/// See [`shown`].
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c if disguises(c) => write!(f, "\\u{:04x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_becomes_markup_or_leaves_an_attribute() {
        let hostile = "</script><img src=x onerror='a'>\" & b";
        let expected = "&lt;/script&gt;&lt;img src=x onerror=&#39;a&#39;&gt;&quot; &amp; b";
        assert_eq!(shown(hostile).to_string(), expected);
    }

    #[test]
    fn characters_that_are_obeyed_are_written_by_their_number() {
        assert_eq!(
            shown("harmless\u{202e}txt.exe\0\n\u{9b}").to_string(),
            "harmless\\u202etxt.exe\\u0000\\u000a\\u009b"
        );
        assert_eq!(shown("na\u{ef}ve \u{5d0}").to_string(), "na\u{ef}ve \u{5d0}");
    }
}
