//! What every HTML report is held to: it is one inert file, and nothing that others say in it is markup.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// What stands between the first `start` and the `end` after it.
///
/// # Panics
/// When one of them is not there.
pub fn between<'a>(page: &'a str, start: &str, end: &str) -> &'a str {
    let from = page.find(start).unwrap_or_else(|| panic!("no {start}")) + start.len();
    let to = page[from..].find(end).unwrap_or_else(|| panic!("no {end} after {start}"));
    &page[from..from + to]
}

/// The text of the data block.
///
/// # Panics
/// When there is none.
pub fn block(page: &str) -> &str {
    between(page, "<script type=\"application/json\" id=\"data\">", "</script>")
}

/// The data that the script draws from.
///
/// # Panics
/// When they are not JSON.
pub fn data(page: &str) -> Value {
    serde_json::from_str(block(page)).expect("the data are JSON")
}

/// What the page shows without its script.
///
/// # Panics
/// When the page has no body.
pub fn body(page: &str) -> &str {
    between(page, "<body>", "<script type=\"application/json\"")
}

/// Holds a page to being inert: one script, which its policy names by hash; no elements and attributes but those of the
/// pages themselves; no character that is obeyed and not seen.
///
/// # Panics
/// When it is not; `name` says of what the page is.
pub fn is_inert(page: &str, name: &str) {
    assert_eq!(page.matches("<script").count(), 2, "{name}: the data, and one script");
    let script = between(page, "<script>", "</script>");
    let hash = STANDARD.encode(Sha256::digest(script));
    let policy = between(page, "http-equiv=\"Content-Security-Policy\" content=\"", "\"");
    let expected = format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{hash}'; img-src data:; base-uri 'none'; \
         form-action 'none'"
    );
    assert_eq!(policy, expected, "{name}");
    assert!(page.starts_with("<!doctype html>\n") && page.ends_with("</html>\n"), "{name}");
    let outside = body(page);
    // Every `<` begins a tag of the page's own, with attributes of its own.
    for tag in outside.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap_or(tag).trim_start_matches('/');
        let mut words = tag.split('"').step_by(2).flat_map(str::split_whitespace);
        assert!(words.next().is_some_and(|element| ELEMENTS.contains(&element)), "{name}: <{tag}>");
        let attribute = |word: &str| ATTRIBUTES.contains(&word.trim_end_matches('='));
        assert!(words.all(attribute), "{name}: <{tag}>");
    }
    for href in outside.split("href=\"").skip(1) {
        let is_place = href.starts_with("#n=") || href.starts_with("#candidate=");
        assert!(is_place, "{name}: {}", href.chars().take(20).collect::<String>());
    }
    for style in outside.split("style=\"").skip(1) {
        let width = style.strip_prefix("width:").and_then(|style| style.split_once("%\""));
        assert!(width.is_some_and(|(width, _)| width.parse::<f64>().is_ok()), "{name}: a style is a width");
    }
    let obeyed =
        page.chars().find(|&c| (c.is_control() && c != '\n') || ('\u{2028}'..='\u{202e}').contains(&c));
    assert_eq!(obeyed, None, "{name}");
    let block = block(page);
    assert!(!block.contains(['<', '>', '&', '\u{2028}', '\u{2029}', '\n']), "{name}");
}

/// The elements of pages, and their attributes.
const ELEMENTS: [&str; 30] = [
    "main", "header", "section", "footer", "div", "p", "span", "h1", "h2", "b", "i", "a", "code", "details",
    "summary", "table", "thead", "tbody", "tfoot", "tr", "th", "td", "br", "body", "dl", "dt", "dd", "ul",
    "li", "noscript",
];
const ATTRIBUTES: [&str; 15] = [
    "id",
    "class",
    "href",
    "data-n",
    "data-candidate",
    "title",
    "scope",
    "hidden",
    "style",
    "open",
    "tabindex",
    "colspan",
    "role",
    "aria-hidden",
    "aria-label",
];
