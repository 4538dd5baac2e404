//! Why a session wakes, and when.

use std::time::Duration;

use super::support::*;
use crate::lines;
use crate::session::timer::Timer;
use crate::session::*;

/// Why the session wakes next, and in how many seconds.
fn next(stage: &Stage) -> Option<(Timer, f64)> {
    let (at, timer) = stage.session.next_timer()?;
    Some((timer, at.seconds_since(stage.now)))
}

#[test]
fn a_download_starts_then_waits_for_the_tracker_then_looks_after_its_peers() {
    let mut stage = Stage::small(config());
    assert_eq!(next(&stage), Some((Timer::Start, 0.0)));
    stage.said();
    assert_eq!(next(&stage), Some((Timer::Announce, 30.0)));
    stage.announced(&[PEER_A]);
    assert_eq!(next(&stage), Some((Timer::Peers, 1.0)));
    // Without peers, the session wakes to connect again: 30 s after the first failure.
    stage.closed(2, CloseReason::Refused);
    assert_eq!(next(&stage), Some((Timer::Connect, 30.0)));
}

#[test]
fn a_seed_wakes_at_the_end_of_its_goal() {
    let seeding = Some(SeedGoal { ratio: None, time: Some(Duration::from_secs(60)) });
    let config = Config { seeding, ..config() };
    let mut stage = Stage::new(config, torrent(40_000, 32_768, &[], ""), &[0, 1]);
    stage.said();
    assert_eq!(next(&stage), Some((Timer::SeedGoal, 60.0)));
    stage.wait(60.0);
    assert!(stage.over);
}

#[test]
fn nothing_is_done_before_the_tick_that_wait_asks_for() {
    let mut stage = Stage::small(config());
    stage.announced(&[PEER_A]);
    stage.session.handle(stage.now, Input::Opened(SessionStreamId(2), "10.0.0.1:6881".parse().unwrap()));
    // The handshake waits, so that more that happens at this moment can be answered with it.
    assert!(matches!(stage.session.poll(), Output::Wait(Some(at)) if at == stage.now));
    stage.session.handle(stage.now, Input::Tick);
    assert!(matches!(stage.session.poll(), Output::Send(SessionStreamId(2), _)));
    assert!(matches!(stage.session.poll(), Output::Wait(Some(at)) if at > stage.now));
}

#[test]
fn a_message_after_which_nothing_is_to_be_said_asks_for_no_tick() {
    let mut stage = Stage::small(config());
    stage.announced(&[PEER_A]);
    stage.opened(2, "10.0.0.1:6881");
    let handshake = stage.handshake(FAST, A_ID);
    stage.receive(2, &handshake);
    stage.receive(2, &HAVE_NONE);
    let have = |piece| [0, 0, 0, 5, 4, 0, 0, 0, piece];
    assert_said(stage.receive(2, &have(0)), lines!["send 2 00 00 00 01 02"]);
    // We are interested already.
    let again = Input::Received(SessionStreamId(2), have(1).to_vec().into());
    stage.session.handle(stage.now, again);
    assert!(matches!(stage.session.poll(), Output::Wait(Some(at)) if at > stage.now));
}
