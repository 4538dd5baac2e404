//! The file around a page: one HTML document that loads nothing, sends nothing, and runs one script, which its content
//! security policy names by hash.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::inert_json::write_inert_json;
use super::markup::shown;

/// What pages of one kind have in common.
#[derive(Debug, Clone, Copy)]
pub struct Shell<'a> {
    /// What the window is called.
    pub title: &'a str,
    /// The style sheets, one after the other.
    pub styles: &'a [&'a str],
    /// The scripts, which become one.
    pub scripts: &'a [&'a str],
}

impl Shell<'_> {
    /// Writes a page. `body` is what it shows without a script, and `data` what the script draws from: JSON in the element
    /// with the id `data`.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, body: &str, data: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
        let script = joined(self.scripts);
        let policy = policy(&script);
        writeln!(
            out,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"generator\" content=\"bittrace {}\">\n<title>{}</title>",
            env!("CARGO_PKG_VERSION"),
            shown(self.title)
        )?;
        write!(out, "<style>{}</style>\n</head>\n<body>\n{body}", joined(self.styles))?;
        out.write_all(b"<script type=\"application/json\" id=\"data\">")?;
        write_inert_json(data, out)?;
        writeln!(out, "</script>\n<script>{script}</script>\n</body>\n</html>")
    }
}

/// What the page may do: apply its own styles, run this script, show images that stand in the page.
fn policy(script: &str) -> String {
    let hash = STANDARD.encode(Sha256::digest(script));
    format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{hash}'; img-src data:; base-uri 'none'; \
         form-action 'none'"
    )
}

/// The parts as one text. Browsers hash a script with the line ends of Unix, whatever the file has.
fn joined(parts: &[&str]) -> String {
    parts.concat().replace("\r\n", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(title: &str, scripts: &[&str]) -> String {
        let mut out = Vec::new();
        let shell = Shell { title, styles: &["p { color: red }"], scripts };
        shell.write("<p>a</p>", &[1, 2], &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_policy_names_the_one_script_by_its_hash() {
        // openssl dgst -sha256 -binary | base64, of "let a;\nlet b;\n".
        let hash = "sha256-3Q3vzVtC1d3wXeTcj643048A6dlkYIw9sWqlEDrXDbk=";
        let page = page("t", &["let a;\r\n", "let b;\n"]);
        assert!(page.contains("<script>let a;\nlet b;\n</script>"), "{page}");
        assert!(page.contains(&format!("script-src '{hash}'")), "{page}");
        assert_eq!(page.matches("<script>").count(), 1);
    }

    #[test]
    fn a_title_is_text() {
        let page = page("</title><script>", &[]);
        assert!(page.contains("<title>&lt;/title&gt;&lt;script&gt;</title>"), "{page}");
    }
}
