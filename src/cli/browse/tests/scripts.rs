//! What sequences of keys lead to.

use ratatui::crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use super::{Browsed, PLAIN};
use crate::browse::layout::Pane;
use crate::browse::save::Saving;
use crate::browse::screens::Screen;
use crate::browse::state::Effect;
use crate::browse::update::Input;

fn browsed() -> Browsed {
    Browsed::of(&["corrupt-peer.pcap.gz"], 120, 30)
}

#[test]
fn a_run_has_one_row_until_it_is_opened() {
    let mut browsed = browsed();
    browsed.press("/message == request⏎g");
    assert_eq!((browsed.chosen(), browsed.state.list.row(0).count), (Some(11), 4));
    browsed.press("j");
    assert!(browsed.chosen() > Some(14));
    browsed.press("gzj");
    assert_eq!(browsed.chosen(), Some(12));
    browsed.press("z");
    assert_eq!((browsed.chosen(), browsed.state.list.row(0).count), (Some(11), 4));
}

#[test]
fn findings_lead_from_one_to_the_next() {
    let mut browsed = browsed();
    browsed.press("nn");
    assert_eq!(browsed.chosen(), Some(36));
    assert!(browsed.screen(PLAIN).contains("SHA-1 is wrong"));
    browsed.press("n");
    assert_eq!(browsed.chosen(), Some(38));
    browsed.press("NNN");
    assert_eq!(browsed.chosen(), Some(20));
    browsed.press("N");
    assert_eq!(browsed.state.told.as_deref(), Some("no finding before this message"));
}

#[test]
fn an_answer_leads_to_what_it_answers_and_back() {
    let mut browsed = browsed();
    browsed.press("nna");
    assert_eq!(browsed.chosen(), Some(30));
    browsed.press("a");
    assert_eq!(browsed.chosen(), Some(36));
}

#[test]
fn the_way_back_ends_where_it_began_and_then_the_browser_ends() {
    let mut browsed = browsed();
    browsed.press("nn4⏎");
    assert_eq!(browsed.state.list.filter(), Some("rule == \"bep3.piece-corrupt\""));
    assert_eq!(browsed.state.list.len(), 6);
    browsed.press("⇥q");
    assert_eq!(browsed.state.pane, Pane::List);
    browsed.press("q");
    assert_eq!((browsed.state.screen, browsed.state.list.filter()), (Screen::Findings, None));
    browsed.press("q");
    assert_eq!((browsed.state.screen, browsed.chosen()), (Screen::Messages, Some(36)));
    assert_eq!(browsed.effects, []);
    browsed.press("q");
    assert_eq!(browsed.effects, [Effect::Quit]);
}

#[test]
fn a_filter_keeps_the_message_that_was_chosen_and_no_filter_brings_it_back() {
    let mut browsed = browsed();
    browsed.press("nn/message == piece⏎");
    assert_eq!(browsed.chosen(), Some(36));
    browsed.press("/^u⏎");
    assert_eq!((browsed.chosen(), browsed.state.list.len()), (Some(36), 75));
    browsed.press("/n == 1000⏎");
    assert_eq!(browsed.chosen(), None);
    assert!(browsed.screen(PLAIN).contains("no message matches (75 messages)"));
    browsed.press("q");
    assert_eq!(browsed.chosen(), Some(36));
}

#[test]
fn a_stream_is_shown_alone_and_left_again() {
    let mut browsed = browsed();
    browsed.press("nnf");
    assert_eq!(browsed.state.list.filter(), Some("stream == 1"));
    browsed.press("f");
    assert_eq!((browsed.state.list.filter(), browsed.chosen()), (None, Some(36)));
}

#[test]
fn of_several_captures_a_row_leads_to_messages_of_its_own_capture() {
    let mut browsed = Browsed::of(&["corrupt-peer.pcap.gz", "nowhere.pcap", "download-aria2.pcap"], 120, 30);
    assert_eq!(browsed.state.troubles.len(), 1);
    assert!(browsed.state.troubles[0].to_string().contains("nowhere.pcap"));
    browsed.press("2G⏎");
    let filter = browsed.state.list.filter().unwrap().to_owned();
    assert!(filter.contains("download-aria2.pcap"), "{filter}");
    assert!(browsed.chosen() > Some(75));
    assert!(browsed.screen(PLAIN).starts_with(" download-aria2.pcap"));
}

#[test]
fn a_row_of_the_map_and_one_of_the_rates_lead_to_their_blocks() {
    let mut browsed = browsed();
    browsed.press("3jjj⏎");
    assert_eq!(browsed.state.list.filter(), Some("message == piece && index == 1"));
    assert_eq!(browsed.state.list.len(), 8);
    browsed.press("q");
    assert_eq!(browsed.state.screen, Screen::Pieces);
    browsed.press("5j⏎");
    let filter = browsed.state.list.filter().unwrap().to_owned();
    assert_eq!(filter, "message == piece && src == 10.77.0.4:6885");
    assert_eq!(browsed.state.list.len(), 18);
}

#[test]
fn fields_and_bytes_are_linked_both_ways() {
    let mut browsed = browsed();
    browsed.press("nnljjj");
    let span = browsed.state.detail.span().unwrap();
    assert_eq!(browsed.state.detail.byte, span.start);
    browsed.press("⇥ll");
    assert_eq!(browsed.state.pane, Pane::Bytes);
    browsed.press("g");
    assert_eq!(browsed.state.detail.span(), Some(0..4));
    browsed.press("llll");
    assert_eq!(browsed.state.detail.span(), Some(4..5));
}

#[test]
fn text_and_bytes_are_found_from_the_cursor_on_and_around() {
    let mut browsed = browsed();
    browsed.press("^fALLOWED-fast⏎");
    assert_eq!(browsed.chosen(), Some(15));
    browsed.press("^f0x13426974⏎");
    let first = browsed.chosen();
    browsed.press("^f↑⏎");
    assert!(browsed.chosen() != first && first.is_some());
    browsed.press("^fxyzzy⏎");
    assert_eq!(browsed.state.told.as_deref(), Some("xyzzy is not among these messages"));
}

#[test]
fn marks_are_come_back_to() {
    let mut browsed = browsed();
    browsed.press("jjjmag'a");
    assert_eq!(browsed.chosen(), Some(4));
    browsed.press("'b");
    assert_eq!(browsed.state.told.as_deref(), Some("no mark b"));
}

#[test]
fn row_field_and_command_are_copied() {
    let mut browsed = browsed();
    browsed.press("nnyryflljyfyc");
    let copied: Vec<_> = browsed.effects.iter().map(|effect| format!("{effect:?}")).collect();
    assert_eq!(copied.len(), 4);
    assert!(copied[0].contains("36 10.806533 10.77.0.4:6885 → 10.77.0.3:36549 piece 1"), "{copied:?}");
    assert!(copied[3].contains("--filter 'n == 36' --hex"), "{copied:?}");
}

#[test]
fn the_mouse_chooses_rows_fields_and_bytes_and_drags_the_border() {
    let mut browsed = browsed();
    let mouse =
        |kind, column, row| Input::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE });
    let click = |column, row| mouse(MouseEventKind::Down(MouseButton::Left), column, row);
    browsed.input(click(10, 4));
    assert_eq!(browsed.chosen(), Some(3));
    let layout = browsed.state.layout().unwrap();
    browsed.input(click(layout.fields.x + 3, layout.fields.y + 1));
    assert_eq!((browsed.state.pane, browsed.state.detail.line), (Pane::Fields, 1));
    browsed.input(click(layout.bytes.x + 6 + 9, layout.bytes.y));
    assert_eq!((browsed.state.pane, browsed.state.detail.byte), (Pane::Bytes, 3));
    browsed.input(click(5, layout.fields.y - 1));
    browsed.input(mouse(MouseEventKind::Drag(MouseButton::Left), 5, 9));
    assert_eq!(browsed.state.layout().unwrap().list.height, 7);
    browsed.input(mouse(MouseEventKind::Up(MouseButton::Left), 5, 9));
    browsed.input(mouse(MouseEventKind::ScrollDown, 5, 4));
    assert_eq!((browsed.state.pane, browsed.chosen()), (Pane::List, Some(6)));
}

#[test]
fn what_is_shown_is_saved_in_each_format() {
    let mut browsed = browsed();
    browsed.press("/message == piece⏎");
    let folder = tempfile::tempdir().unwrap();
    let save = |browsed: &mut Browsed, name: &str| {
        let path = folder.path().join(name);
        let mut saving = Saving::begin(&path, &browsed.state)?;
        loop {
            if let Some(said) = saving.step(&browsed.state, &mut browsed.spool)? {
                drop(saving);
                return Ok::<_, String>((said, std::fs::read(&path).unwrap()));
            }
        }
    };
    let (said, json) = save(&mut browsed, "some.json").unwrap();
    assert!(said.starts_with("22 messages written to "), "{said}");
    let lines = String::from_utf8(json).unwrap();
    assert_eq!(lines.lines().count(), 22);
    assert!(lines.lines().all(|line| line.contains("\"message\":\"piece\"")));
    let (_, csv) = save(&mut browsed, "some.csv").unwrap();
    assert_eq!(String::from_utf8(csv).unwrap().lines().count(), 23);
    let (said, _) = save(&mut browsed, "some.pcapng").unwrap();
    assert!(said.contains(" packets of 22 messages written to "), "{said}");
    let copy = Browsed::reading(vec![folder.path().join("some.pcapng")], Default::default(), 120, 30);
    assert!(copy.screen(PLAIN).contains("piece 1 at 16384, 16 KiB"), "{}", copy.screen(PLAIN));
    assert!(save(&mut browsed, "some.json").unwrap_err().contains("exists; choose another name"));
    assert!(save(&mut browsed, "some.txt").unwrap_err().contains(".pcapng, .json or .csv"));
}

#[test]
fn captures_that_are_read_again_keep_the_place_and_the_filter() {
    let mut browsed = browsed();
    browsed.press("/message == piece⏎nr");
    assert_eq!((browsed.chosen(), browsed.effects.as_slice()), (Some(36), [Effect::ReadAgain].as_slice()));
    let mut again = Browsed::of(&["corrupt-peer.pcap.gz"], 120, 30);
    browsed.state.read_again();
    assert_eq!(browsed.chosen(), None);
    let entries = std::mem::take(&mut again.state.entries);
    browsed.spool = again.spool;
    let context = again.state.captures[0].clone();
    browsed.state.take(crate::browse::reader::News::Capture(0, again.state.files[0].clone(), context));
    browsed.state.take(crate::browse::reader::News::Messages { entries, local: None, has_roles: false });
    browsed.work();
    assert_eq!((browsed.chosen(), browsed.state.list.len()), (Some(36), 22));
}

#[test]
fn the_cursor_stays_at_the_end_of_a_live_capture_until_it_moves_up() {
    let whole = browsed();
    let mut state = crate::browse::state::State::new(whole.state.size, whole.state.paths.clone());
    let context = whole.state.captures[0].clone();
    state.take(crate::browse::reader::News::Capture(0, whole.state.files[0].clone(), context));
    let mut live = Browsed { state, spool: whole.spool, effects: Vec::new() };
    let feed = |live: &mut Browsed, range: std::ops::Range<usize>| {
        let entries = whole.state.entries[range].to_vec();
        live.state.take(crate::browse::reader::News::Messages { entries, local: None, has_roles: false });
        live.work();
    };
    feed(&mut live, 0..10);
    assert_eq!(live.chosen(), Some(1));
    live.press("G");
    feed(&mut live, 10..30);
    assert_eq!(
        live.chosen().map(|chosen| live.state.list.row(chosen as usize - 1)),
        Some(live.state.list.row(29))
    );
    live.press("k");
    let chosen = live.chosen();
    feed(&mut live, 30..50);
    assert_eq!(live.chosen(), chosen);
}
