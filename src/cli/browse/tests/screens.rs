//! Screens of several sizes, held to snapshots, and what all screens have in common.

use bittrace_protocol::Timestamp;
use bittrace_trace::{Direction, Flow, Recorder, StreamId, StreamOpening, TraceOptions};
use proptest::prelude::*;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Size;
use ratatui::style::{Color, Modifier};

use super::{Browsed, PLAIN};
use crate::browse::update::Input;
use crate::browse::view::Paint;

macro_rules! assert_screen {
    ($name:literal, $text:expr) => {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("../../../../snapshots/browse");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!($name, $text));
    };
}

#[test]
fn messages_on_a_wide_screen() {
    let mut browsed = Browsed::of(&["corrupt-peer.pcap.gz"], 140, 45);
    browsed.press("nn");
    assert_screen!("messages-140x45", browsed.screen(PLAIN));
}

#[test]
fn messages_on_the_usual_screen() {
    let mut browsed = Browsed::of(&["corrupt-peer.pcap.gz"], 80, 24);
    browsed.press("/message == piece⏎nl");
    assert_screen!("messages-80x24", browsed.screen(PLAIN));
}

#[test]
fn messages_on_the_smallest_screen_in_ascii() {
    let mut browsed = Browsed::of(&["corrupt-peer.pcap.gz"], 60, 16);
    browsed.press("nn");
    let screen = browsed.screen(Paint { colour: false, ascii: true });
    assert!(screen.is_ascii(), "{screen}");
    assert_screen!("messages-60x16-ascii", screen);
}

#[test]
fn an_error_in_a_filter_stands_under_its_place() {
    let mut browsed = Browsed::of(&["corrupt-peer.pcap.gz"], 80, 24);
    browsed.press("/message == piece && indxe == 3⏎");
    assert_screen!("filter-error-80x24", browsed.screen(PLAIN));
}

#[test]
fn conversations_and_findings() {
    let mut browsed = Browsed::of(&["corrupt-peer.pcap.gz", "download-aria2.pcap"], 100, 20);
    browsed.press("2j");
    assert_screen!("conversations-100x20", browsed.screen(PLAIN));
    browsed.press("4");
    assert_screen!("findings-100x20", browsed.screen(PLAIN));
}

#[test]
fn pieces_and_rates() {
    let mut browsed = Browsed::of(&["corrupt-peer.pcap.gz"], 100, 24);
    browsed.press("3");
    assert_screen!("pieces-100x24", browsed.screen(PLAIN));
    browsed.press("5");
    assert_screen!("rates-100x24", browsed.screen(PLAIN));
}

#[test]
fn the_page_of_keys_has_every_key() {
    let mut browsed = Browsed::of(&["corrupt-peer.pcap.gz"], 80, 45);
    browsed.press("?");
    for (keys, what) in crate::browse::view::HELP {
        assert!(what.chars().count() <= 58 && keys.chars().count() <= 17, "{what}");
    }
    assert_screen!("keys-80x45", browsed.screen(PLAIN));
}

#[test]
fn columns_that_are_chosen() {
    let mut browsed = Browsed::of(&["fast-extension.pcap"], 100, 24);
    browsed.press("cn,src,message,index,begin⏎");
    assert_screen!("columns-100x24", browsed.screen(PLAIN));
}

#[test]
fn a_screen_that_is_too_small_says_so() {
    let mut browsed = Browsed::of(&["corrupt-peer.pcap.gz"], 80, 24);
    browsed.input(Input::Resize(Size { width: 40, height: 10 }));
    let screen = browsed.screen(PLAIN);
    assert!(screen.starts_with("browse needs 60 columns and 16 rows;\nhere are 40 and 10"), "{screen}");
    browsed.press("jn/⎋");
}

#[test]
fn without_colours_reverse_and_bold_carry_what_is_chosen() {
    let mut browsed = Browsed::of(&["corrupt-peer.pcap.gz"], 80, 24);
    browsed.press("n");
    let (plain, coloured) = (browsed.buffer(PLAIN), browsed.buffer(Paint { colour: true, ascii: false }));
    assert!(plain.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    assert!(coloured.content.iter().any(|cell| cell.fg != Color::Reset));
    let row = (0..24).find(|&y| plain[(0, y)].symbol() == ">").unwrap();
    assert!((0..80).all(|x| plain[(x, row)].modifier.contains(Modifier::REVERSED)));
    let text = |buffer: &ratatui::buffer::Buffer| {
        buffer.content.iter().map(|cell| cell.symbol()).collect::<String>()
    };
    assert_eq!(text(&plain), text(&coloured));
}

/// A capture of a peer whose client calls itself what a terminal would obey.
fn hostile() -> (tempfile::TempDir, Browsed) {
    const SAID: &str = "\u{1b}[31m\u{9b}2J\r\n\u{202e}fdp";
    let mut recorder = Recorder::new(Vec::new(), "").unwrap();
    let at = Timestamp::from_nanos(1_790_000_000_000_000_000);
    let flow =
        Flow { initiator: "10.0.0.1:50000".parse().unwrap(), responder: "10.0.0.2:80".parse().unwrap() };
    recorder.opened(at, StreamId(1), flow, StreamOpening::Syn).unwrap();
    let mut hello =
        b"\x13BitTorrent protocol\0\0\0\0\0\x10\0\x01aaaaaaaaaaaaaaaaaaaa-XX0000-aaaaaaaaaaaa".to_vec();
    let document = format!("d1:md{}:{SAID}i3ee1:v{}:{SAID}e", SAID.len(), SAID.len());
    hello.extend((document.len() as u32 + 2).to_be_bytes());
    hello.extend([20, 0]);
    hello.extend(document.as_bytes());
    recorder.burst(at, StreamId(1), Direction::FromInitiator, &hello).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.pcapng");
    std::fs::write(&path, recorder.finish().unwrap()).unwrap();
    let browsed = Browsed::reading(vec![path], TraceOptions::default(), 120, 40);
    (folder, browsed)
}

#[test]
fn nothing_that_a_peer_says_is_obeyed_by_the_terminal() {
    let (_folder, mut browsed) = hostile();
    for keys in ["", "j", "l", "2", "3", "4", "5", "⎋⎋⎋yr", "yf", "j", "cclient,v,m⏎"] {
        let screen = browsed.press(keys).screen(PLAIN);
        assert!(!screen.chars().any(|c| c != '\n' && crate::print::printable::disguises(c)), "{screen:?}");
    }
    browsed.press("jyr");
    assert!(!browsed.effects.is_empty());
    let copied = format!("{:?}", browsed.effects);
    assert!(!copied.contains("\\u{1b}") && !copied.contains("\\u{202e}"), "{copied}");
}

/// Any key, click or size.
fn inputs() -> impl Strategy<Value = Input> {
    let key = |code: KeyCode| Input::Key(KeyEvent::new(code, KeyModifiers::NONE));
    let keys = "jjjkkkgGnNaflhzzvqw123456789c?m'y/ r.=&\"()x0";
    let letters =
        prop::sample::select(keys.chars().collect::<Vec<_>>()).prop_map(move |c| key(KeyCode::Char(c)));
    let others = [
        KeyCode::Enter,
        KeyCode::Esc,
        KeyCode::Tab,
        KeyCode::BackTab,
        KeyCode::Up,
        KeyCode::Down,
        KeyCode::PageUp,
        KeyCode::PageDown,
        KeyCode::Home,
        KeyCode::End,
        KeyCode::Backspace,
        KeyCode::Delete,
        KeyCode::Left,
        KeyCode::Right,
    ];
    let others = prop::sample::select(others.to_vec()).prop_map(key);
    let control = prop::sample::select(vec!['f', 'd', 'u', 'w', 'a', 'e'])
        .prop_map(|c| Input::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL)));
    let kinds = [
        MouseEventKind::Down(MouseButton::Left),
        MouseEventKind::Drag(MouseButton::Left),
        MouseEventKind::Up(MouseButton::Left),
        MouseEventKind::ScrollDown,
        MouseEventKind::ScrollUp,
    ];
    let mouse =
        (prop::sample::select(kinds.to_vec()), 0..150_u16, 0..50_u16).prop_map(|(kind, column, row)| {
            Input::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE })
        });
    let sizes = (0..150_u16, 0..50_u16).prop_map(|(width, height)| Input::Resize(Size { width, height }));
    prop_oneof![12 => letters, 5 => others, 1 => control, 2 => mouse, 1 => sizes]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_keys_break_it_and_what_is_chosen_is_on_the_screen(
        filter in prop::sample::select(vec!["", "/message == have⏎", "/stream == 1 && length > 5⏎", "/n < 0⏎"]),
        inputs in prop::collection::vec(inputs(), 1..60),
    ) {
        let mut browsed = Browsed::of(&["corrupt-peer.pcap.gz", "download-aria2.pcap"], 90, 26);
        browsed.press(filter);
        for input in inputs {
            browsed.input(input);
            let state = &browsed.state;
            let screen = browsed.screen(PLAIN);
            let Some(layout) = state.layout() else { continue };
            let rows = state.list.rows(layout.list.height.into());
            let chosen = rows.iter().any(|row| row.position == state.list.cursor());
            prop_assert!(chosen || state.list.len() == 0, "{screen}");
            prop_assert!(state.detail.byte < state.detail.length.max(1));
            prop_assert!(state.detail.line < state.detail.lines.len().max(1));
        }
    }
}
