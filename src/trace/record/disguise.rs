//! Characters that are not shown but obeyed: whoever writes text of others for people replaces them first.

/// Whether a character commands a terminal (C0 and C1 controls), begins a line (U+2028, U+2029), or shows others in
/// another order than they have (Unicode Standard Annex 9: embeddings, overrides, isolates and marks).
pub fn disguises(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
