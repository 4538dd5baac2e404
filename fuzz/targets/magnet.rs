#![no_main]
//! Any text as a magnet link: what is read is written and read again, and a session that begins with it asks no host that
//! the link does not name, and no peer at a port of other services.

use bittrace_protocol::magnet::Magnet;
use bittrace_protocol::session::{Config, Endpoint, Identity, Input, Output, Profile, Session};
use bittrace_protocol::{PeerId, Timestamp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|link: &str| {
    let Ok(magnet) = link.parse::<Magnet>() else { return };
    let again = magnet.to_string().parse::<Magnet>();
    assert_eq!(again.as_ref(), Ok(&magnet));
    let now = Timestamp::from_secs_nanos(1_000_000, 0);
    let identity = Identity::new(PeerId(*b"-BT0001-ourselvesxyz"), 1, 7);
    let mut session = Session::of_magnet(Config::new(Profile::own("bittrace/0")), &magnet, identity, now);
    session.handle(now, Input::Tick);
    for _ in 0..1_000 {
        match session.poll() {
            Output::Open(_, Endpoint::Peer(peer)) => {
                assert!(peer.port() >= 1024, "{peer} is dialled");
                let is_named = |named: &bittrace_protocol::HostPort| named.port == peer.port();
                assert!(magnet.peers.iter().any(is_named), "{peer} is not in the link");
            }
            Output::Resolve(name) => assert!(magnet.peers.contains(&name), "{name} is not in the link"),
            Output::Wait(Some(at)) if at <= now => session.handle(now, Input::Tick),
            Output::Wait(_) | Output::Done => return,
            _ => {}
        }
    }
    panic!("one link has more than 1,000 outputs");
});
