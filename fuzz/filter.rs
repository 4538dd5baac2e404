//! Expressions for the target `filter`, from bytes.

/// What an expression is made of: parts that come together by chance too rarely.
const PARTS: &[&str] = &[
    "(",
    ")",
    " not ",
    "!",
    " and ",
    " && ",
    " or ",
    " || ",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "~",
    " contains ",
    "message",
    "protocol",
    "speaker",
    "transport",
    "src",
    "dst",
    "n",
    "stream",
    "community_id",
    "length",
    "elapsed",
    "time",
    "frames",
    "client",
    "severity",
    "rule",
    "notes",
    "fields",
    "bytes",
    "summary",
    "index",
    "begin",
    "answers",
    "fields.",
    "m.ut_pex",
    "reserved",
    "info_hash",
    "peers",
    "added",
    "path",
    "bitfield",
    "headers",
    " request ",
    " piece ",
    " handshake ",
    " peer-wire ",
    " local ",
    " tcp ",
    " warn ",
    " 0 ",
    " 3 ",
    " 16384 ",
    " 0x10 ",
    " -1.5e3 ",
    " nan ",
    " 127.0.0.1 ",
    " 127.0.0.0/8 ",
    " [::1]:6881 ",
    " ::/0 ",
    " \"a b\" ",
    " '' ",
    " 2026-01-02T03:04:05Z ",
    " é ",
    " fast ",
];

/// The expression of an input: text as it stands after a first byte that is even, parts by their numbers after one that
/// is odd.
pub fn expression(input: &[u8]) -> String {
    match input.split_first() {
        Some((first, parts)) if first & 1 == 1 => {
            parts.iter().map(|part| PARTS[usize::from(*part) % PARTS.len()]).collect()
        }
        Some((_, text)) => String::from_utf8_lossy(text).into_owned(),
        None => String::new(),
    }
}

/// The input that has this text as its expression.
pub fn input(text: &str) -> Vec<u8> {
    [&[0], text.as_bytes()].concat()
}

/// Expressions that are right, and one that is not.
pub const SEEDS: &[&str] = &[
    "message == request and (index == 3 or begin >= 16384) and not client",
    "src ~ 127.0.0.0/8 && dst != 127.0.0.1 || severity >= note",
    "summary contains \"piece 3\" or fields.m.ut_pex or n < 0x10",
    "time >= 2026-01-02T03:04:05Z and rule ~ bep3 and frames != 7",
    "mesage == piece",
];
