//! What the colours of the style sheet promise, computed from the style sheet itself: far ends can be told apart by people
//! who see colours in other ways, marks stand out from their ground, and text can be read.

use std::collections::BTreeMap;

use super::STYLE;

/// Red, green, blue, from 0 to 1, in proportion to light.
type Light = [f64; 3];

/// The colours by name, of the light and of the dark theme.
fn colours() -> [BTreeMap<&'static str, Light>; 2] {
    let mut themes = [BTreeMap::new(), BTreeMap::new()];
    for line in STYLE.lines() {
        let Some((name, values)) = line.trim().split_once(": light-dark(") else { continue };
        let Some(name) = name.strip_prefix("--") else { continue };
        let values = values.trim_end_matches(");").split(", ");
        for (theme, value) in themes.iter_mut().zip(values) {
            theme.insert(name, light(value));
        }
    }
    assert!(themes[0].len() > 30 && themes[0].len() == themes[1].len(), "the style sheet has its colours");
    themes
}

/// The light of `#rrggbb` (IEC 61966-2-1).
fn light(hex: &str) -> Light {
    let digits = hex.strip_prefix('#').filter(|digits| digits.len() == 6).expect("a colour is #rrggbb");
    [0, 2, 4].map(|at| {
        let share =
            f64::from(u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits")) / 255.0;
        if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
    })
}

/// Who sees: matrices of Machado, Oliveira and Fernandes (2009), severity 1.
const SIGHTS: [(&str, [[f64; 3]; 3]); 4] = [
    ("normal", [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    (
        "protan",
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    ),
    (
        "deutan",
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    ),
    (
        "tritan",
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
    ),
];

fn product(matrix: &[[f64; 3]; 3], vector: Light) -> [f64; 3] {
    matrix.map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum())
}

/// CIELAB under D65 (CIE 15).
fn lab(seen: Light) -> [f64; 3] {
    let to_xyz = [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.072175],
        [0.0193339, 0.119192, 0.9503041],
    ];
    let [x, y, z] = product(&to_xyz, seen.map(|share| share.clamp(0.0, 1.0)));
    let root = |share: f64| {
        if share > 216.0 / 24389.0 { share.cbrt() } else { (24389.0 / 27.0 * share + 16.0) / 116.0 }
    };
    let (x, y, z) = (root(x / 0.95047), root(y), root(z / 1.08883));
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

fn difference(a: Light, b: Light, sight: &[[f64; 3]; 3]) -> f64 {
    let [a, b] = [a, b].map(|colour| lab(product(sight, colour)));
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

/// The contrast of two colours (WCAG 2.2).
fn contrast(a: Light, b: Light) -> f64 {
    let [a, b] = [a, b].map(|colour| 0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2] + 0.05);
    a.max(b) / a.min(b)
}

const MARKS: [&str; 8] = ["end0", "end1", "end2", "end3", "end4", "end5", "others", "wrong"];

#[test]
fn far_ends_differ_for_every_kind_of_sight() {
    for (theme, least) in colours().iter().zip([21.0, 27.0]) {
        for (sight, matrix) in &SIGHTS {
            for (at, one) in MARKS.iter().enumerate() {
                for other in &MARKS[at + 1..] {
                    let found = difference(theme[one], theme[other], matrix);
                    assert!(found >= least, "{one} and {other} differ by {found:.1} for {sight} sight");
                }
            }
        }
    }
}

#[test]
fn marks_stand_out_from_their_ground() {
    for theme in colours() {
        for mark in MARKS.iter().chain(&["warn", "note", "faint", "chosen", "ink", "soft"]) {
            let found = contrast(theme[mark], theme["paper"]);
            assert!(found >= 3.0, "{mark} on paper: {found:.2}");
        }
    }
}

#[test]
fn text_can_be_read_on_every_ground_it_stands_on() {
    const GROUNDS: [&str; 6] = ["paper", "ground", "chosen-ground", "wrong-ground", "warn-ground", "grid"];
    let pairs = [
        ("chosen-ink", "chosen-ground"),
        ("tip-ink", "tip"),
        ("hot-ink", "hot"),
        ("ink", "even"),
        ("ink", "odd"),
    ];
    for theme in colours() {
        for text in ["ink", "soft", "wrong-text", "good", "warn", "note", "chosen"] {
            for ground in GROUNDS {
                let found = contrast(theme[text], theme[ground]);
                assert!(found >= 4.5, "{text} on {ground}: {found:.2}");
            }
        }
        for (text, ground) in pairs {
            let found = contrast(theme[text], theme[ground]);
            assert!(found >= 4.5, "{text} on {ground}: {found:.2}");
        }
    }
}
