//! Trackers of every kind, and what they may say.

use super::support::*;
use crate::HostPort;
use crate::lines;
use crate::session::{
    CloseReason, Config, EncryptionPolicy, EncryptionProfile, HttpProxy, Input, ProxyChoice,
};

fn stage(tiers: &[&[&str]]) -> Stage {
    Stage::new(config(), torrent(40_000, 32_768, tiers, ""), &[])
}

fn respond(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[test]
fn a_tracker_that_refuses_is_asked_again_when_it_says() {
    let mut stage = stage(&[&["http://t.test/announce"]]);
    stage.said();
    stage.opened(0, "10.0.0.9:80");
    let body = "d14:failure reason10:Overloaded8:retry in1:5e";
    assert_said(
        stage.receive(0, &respond("200 OK", "", body)),
        lines!["close 0", "tracker failed: Overloaded; again Some(300s)"],
    );
    assert_said(stage.wait(299.0), &[]);
    assert_said(stage.wait(1.0), lines!["open 2 http t.test 80"]);
}

#[test]
fn each_failure_has_its_reason_and_doubles_the_wait() {
    let mut stage = stage(&[&["http://t.test/announce"]]);
    stage.said();
    assert_said(
        stage.closed(0, CloseReason::Refused),
        lines!["tracker failed: the connection was refused; again Some(30s)"],
    );
    assert_said(stage.wait(30.0), lines!["open 2 http t.test 80"]);
    stage.opened(2, "10.0.0.9:80");
    assert_said(
        stage.receive(2, b"SSH-2.0-OpenSSH\r\n"),
        lines![
            "close 2",
            "tracker failed: the response is not HTTP: at byte 0: expected an HTTP status line; again Some(60s)"
        ],
    );
    assert_said(stage.wait(60.0), lines!["open 4 http t.test 80"]);
    stage.opened(4, "10.0.0.9:80");
    assert_said(stage.wait(30.0), lines!["close 4", "tracker failed: no response in time; again Some(120s)"]);
    stage.wait(120.0);
    stage.opened(6, "10.0.0.9:80");
    assert_said(
        stage.receive(6, &respond("404 Not Found", "", "<html>")),
        lines!["close 6", "tracker failed: the tracker responded with 404 Not Found; again Some(240s)"],
    );
}

#[test]
fn an_answer_in_chunks_or_until_the_end_is_read() {
    let mut stage1 = stage(&[&["http://t.test/announce"]]);
    stage1.said();
    stage1.opened(0, "10.0.0.9:80");
    stage1.receive(0, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1a\r\nd8:interv");
    let said = stage1.receive(0, b"ali1800e5:peers0:\r\n1\r\ne\r\n0\r\n\r\n");
    assert_said(said, lines!["close 0", "announced, 0 peers"]);
    let mut stage2 = stage(&[&["http://t.test/announce"]]);
    stage2.said();
    stage2.opened(0, "10.0.0.9:80");
    assert_said(stage2.receive(0, b"HTTP/1.0 200 OK\r\n\r\nd8:intervali1800e5:peers0:e"), &[]);
    assert_said(stage2.closed(0, CloseReason::ByRemote), lines!["announced, 0 peers"]);
}

#[test]
fn redirects_are_followed() {
    let mut stage = stage(&[&["http://t.test/announce"]]);
    stage.said();
    stage.opened(0, "10.0.0.9:80");
    let to = |location: &str| respond("302 Found", &format!("Location: {location}\r\n"), "");
    assert_said(
        stage.receive(0, &to("http://u.test:8080/a?passkey=1")),
        lines!["close 0", "open 2 http u.test 8080"],
    );
    let said = stage.opened(2, "10.0.0.8:8080");
    assert!(said[0].starts_with("send 2 GET /a?passkey=1&info_hash="), "{said:?}");
    assert!(said[0].contains("\\r\\nHost: u.test:8080\\r\\n"), "{said:?}");
    assert_said(stage.receive(2, &to("/b?info_hash=x&port=1")), lines!["close 2", "open 4 http u.test 8080"]);
    // A place with the whole query in it is asked for as it stands.
    let said = stage.opened(4, "10.0.0.8:8080");
    assert!(said[0].starts_with("send 4 GET /b?info_hash=x&port=1 HTTP/1.1\\r\\n"), "{said:?}");
    // Up to ten redirects in a row are followed, relative ones too.
    for number in 2..10 {
        let stream = 2 * number;
        let said = stage.receive(stream, &to(["c", "?d", "//u.test:8080/e"][number as usize % 3]));
        let open = format!("open {} http u.test 8080", stream + 2);
        assert_said(said, lines![format!("close {stream}"), open]);
        stage.opened(stream + 2, "10.0.0.8:8080");
    }
    assert_said(
        stage.receive(20, &to("f")),
        lines![
            "close 20",
            "tracker failed: the tracker redirects to \"f\" after 10 redirects; again Some(30s)"
        ],
    );
}

/// A proxy for every host but these.
fn proxies() -> ProxyChoice {
    ProxyChoice::by(|url| match url {
        "http://near.test" => Ok(None),
        "http://bad.test" => Err("the proxy cannot be used".to_owned()),
        _ => {
            let authorization = Some("Basic dTpw".to_owned());
            Ok(Some(HttpProxy { host: "p.test".to_owned(), port: 3128, authorization }))
        }
    })
}

#[test]
fn a_proxy_is_asked_for_the_whole_url() {
    let config = Config { proxies: proxies(), ..config() };
    let torrent = torrent(40_000, 32_768, &[&["http://u:p@t.test:6969/a?k=1"]], "");
    let mut stage = Stage::new(config, torrent, &[]);
    assert_said(stage.said(), lines!["open 0 http p.test 3128"]);
    let said = stage.opened(0, "10.0.0.9:3128");
    assert!(said[0].starts_with("send 0 GET http://t.test:6969/a?k=1&info_hash="), "{said:?}");
    assert!(said[0].contains("\\r\\nHost: t.test:6969\\r\\n"), "{said:?}");
    let end = "\\r\\nAuthorization: Basic dTpw\\r\\nProxy-Authorization: Basic dTpw\\r\\n\\r\\n";
    assert!(said[0].ends_with(end), "{said:?}");
    let to = |location: &str| respond("302 Found", &format!("Location: {location}\r\n"), "");
    // A redirect may lead to a place that needs none, and back.
    assert_said(stage.receive(0, &to("http://near.test/b")), lines!["close 0", "open 2 http near.test 80"]);
    let said = stage.opened(2, "10.0.0.8:80");
    assert!(said[0].starts_with("send 2 GET /b?info_hash="), "{said:?}");
    assert!(!said[0].contains("Proxy-"), "{said:?}");
    assert_said(
        stage.receive(2, &to("http://far.test/c?info_hash=x")),
        lines!["close 2", "open 4 http p.test 3128"],
    );
    let said = stage.opened(4, "10.0.0.9:3128");
    assert!(said[0].starts_with("send 4 GET http://far.test/c?info_hash=x HTTP/1.1\\r\\n"), "{said:?}");
    assert_said(
        stage.receive(4, &to("http://bad.test/c")),
        lines!["close 4", "tracker failed: the proxy cannot be used; again Some(30s)"],
    );
}

#[test]
fn what_a_proxy_does_is_told_of_the_proxy() {
    let config = Config { proxies: proxies(), ..config() };
    let tiers: &[&[&str]] = &[&["http://bad.test/a"], &["http://t.test/a"]];
    let mut stage = Stage::new(config, torrent(40_000, 32_768, tiers, ""), &[]);
    assert_said(
        stage.said(),
        lines!["tracker failed: the proxy cannot be used; again None", "open 0 http p.test 3128"],
    );
    stage.opened(0, "10.0.0.9:3128");
    assert_said(
        stage.receive(0, &respond("407 Proxy Authentication Required", "", "")),
        lines![
            "close 0",
            "tracker failed: the proxy p.test:3128 responded with 407 Proxy Authentication Required; again Some(30s)"
        ],
    );
    stage.wait(30.0);
    assert_said(
        stage.closed(2, CloseReason::Refused),
        lines!["tracker failed: through the proxy p.test:3128: the connection was refused; again Some(60s)"],
    );
}

#[test]
fn the_address_of_a_udp_tracker_that_answers_is_the_one_that_counts() {
    let mut stage = stage(&[&["udp://t.test:6969"]]);
    stage.said();
    let said = stage.opened(0, "10.0.0.9:6969");
    assert_eq!(said.len(), 1, "a connect request: {said:?}");
    // Another address of the name has answered.
    assert_said(stage.opened(0, "[2001:db8::9]:6969"), &[]);
    assert_said(stage.wait(14.0), &[]);
    let said = stage.wait(1.0);
    assert_eq!(said.len(), 1, "the connect request again: {said:?}");
}

#[test]
fn an_answer_may_be_announced_by_100_continue() {
    let bare = b"HTTP/1.1 100 Continue\r\n\r\n".as_slice();
    for first in [&[bare, b""][..], &[bare, bare], &[b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", b""]]
    {
        let first = first.concat();
        for cut in [0, 10, first.len()] {
            let mut stage = stage(&[&["http://t.test/announce"]]);
            stage.said();
            stage.opened(0, "10.0.0.9:80");
            let (start, end) = first.split_at(cut);
            assert_said(stage.receive(0, start), &[]);
            let said = stage.receive(0, &[end, &answer(b"")].concat());
            assert_said(said, lines!["close 0", "announced, 0 peers"]);
        }
    }
    // A tracker that says it over and over costs no stack.
    let mut patient = stage(&[&["http://t.test/announce"]]);
    patient.said();
    patient.opened(0, "10.0.0.9:80");
    assert_said(patient.receive(0, &bare.repeat(60_000)), &[]);
    assert_said(patient.receive(0, &answer(b"")), lines!["close 0", "announced, 0 peers"]);
    // Nothing but that is no answer.
    let mut stage = stage(&[&["http://t.test/announce"]]);
    stage.said();
    stage.opened(0, "10.0.0.9:80");
    assert_said(stage.receive(0, bare), &[]);
    assert_said(
        stage.closed(0, CloseReason::ByRemote),
        lines!["tracker failed: the connection was closed without a response; again Some(30s)"],
    );
}

#[test]
fn a_name_and_a_password_in_the_url_are_told_to_the_tracker() {
    let mut stage = stage(&[&["http://user:p%40ss@t.test/announce"]]);
    assert_said(stage.said(), lines!["open 0 http t.test 80"]);
    let said = stage.opened(0, "10.0.0.9:80");
    assert!(said[0].contains("\\r\\nHost: t.test\\r\\n"), "{said:?}");
    assert!(said[0].ends_with("\\r\\nAuthorization: Basic dXNlcjpwQHNz\\r\\n\\r\\n"), "{said:?}");
    let mut stage = self::stage(&[&["https://user:p%40ss@t.test/announce"]]);
    stage.said();
    let said = stage.opened(0, "10.0.0.9:443");
    assert!(said[0].ends_with("\\r\\nAuthorization: Basic dXNlcjpwQHNz\\r\\n\\r\\n"), "{said:?}");
}

#[test]
fn an_https_tracker_is_asked_over_tls() {
    let mut stage = stage(&[&["https://t.test/x?k=1"]]);
    assert_said(stage.said(), lines!["open 0 http t.test 443 tls t.test"]);
    let said = stage.opened(0, "10.0.0.9:443");
    assert!(said[0].starts_with("send 0 GET /x?k=1&info_hash="), "{said:?}");
    assert_said(
        stage.receive(0, &answer(&PEER_A)),
        lines!["close 0", "announced, 1 peers", "open 2 10.0.0.1:6881"],
    );
    let mut stage = self::stage(&[&["https://t.test/x"]]);
    stage.said();
    let said = stage.closed(0, CloseReason::Failed("certificate has expired".into()));
    assert_said(said, lines!["tracker failed: certificate has expired; again Some(30s)"]);
}

/// What is told over https must not be read on the way.
#[test]
fn an_https_tracker_leads_to_no_http_tracker() {
    let mut stage = stage(&[&["https://t.test/x"]]);
    stage.said();
    stage.opened(0, "10.0.0.9:443");
    let said = stage.receive(0, &respond("302 Found", "Location: http://t.test/x\r\n", ""));
    assert!(said[1].contains("redirects to \"http://t.test/x\", which is not encrypted"), "{said:?}");
    let mut stage = self::stage(&[&["http://t.test/x"]]);
    stage.said();
    stage.opened(0, "10.0.0.9:80");
    let said = stage.receive(0, &respond("302 Found", "Location: https://t.test/x\r\n", ""));
    assert_said(said, lines!["close 0", "open 2 http t.test 443 tls t.test"]);
}

#[test]
fn an_https_tracker_behind_a_proxy_is_reached_through_a_tunnel() {
    let proxies = ProxyChoice::by(|_| {
        let authorization = Some("Basic eDp5".to_owned());
        Ok(Some(HttpProxy { host: "p.test".into(), port: 3128, authorization }))
    });
    let torrent = torrent(40_000, 32_768, &[&["https://t.test/announce"]], "");
    let mut stage = Stage::new(Config { proxies, ..config() }, torrent, &[]);
    let connect =
        r"CONNECT t.test:443 HTTP/1.1\r\nHost: t.test:443\r\nProxy-Authorization: Basic eDp5\r\n\r\n";
    assert_said(stage.said(), lines![format!("open 0 http p.test 3128 tls t.test by {connect}")]);
    let said = stage.opened(0, "10.0.0.9:3128");
    assert!(said[0].starts_with("send 0 GET /announce?info_hash=") && !said[0].contains("Basic"), "{said:?}");
}

#[test]
fn tiers_are_asked_in_turn_and_one_that_answers_comes_first() {
    let tiers: &[&[&str]] = &[&["http://a.test/"], &["http://b.test/"]];
    let mut stage = stage(tiers);
    assert_said(stage.said(), lines!["open 0 http a.test 80"]);
    assert_said(
        stage.closed(0, CloseReason::Refused),
        lines!["tracker failed: the connection was refused; again Some(30s)", "open 2 http b.test 80"],
    );
    stage.opened(2, "10.0.0.9:80");
    stage.receive(2, &answer(b""));
    // The first tier stays the first.
    assert_said(stage.wait(1800.0), lines!["open 4 http a.test 80"]);

    let mut stage = self::stage(&[&["http://a.test/", "http://b.test/", "http://c.test/"]]);
    let first = stage.said();
    let second = stage.closed(0, CloseReason::Refused);
    stage.opened(2, "10.0.0.9:80");
    stage.receive(2, &answer(b""));
    let again = stage.wait(1800.0);
    // The tracker that answered is asked first from then on.
    assert_ne!(hosts(&first)[0], hosts(&second)[0]);
    assert_eq!(hosts(&again)[0], hosts(&second)[0]);
}

/// The trackers that are asked, in their order.
fn hosts(lines: &[String]) -> Vec<&str> {
    lines.iter().filter(|line| line.starts_with("open ")).filter_map(|line| line.split(' ').nth(3)).collect()
}

#[test]
fn a_silent_tracker_does_not_hold_up_the_next() {
    let mut stage = stage(&[&["udp://a.test:1"], &["http://b.test/"], &["http://c.test/"]]);
    assert_eq!(hosts(&stage.said()), ["a.test"]);
    stage.opened(0, "10.0.0.9:1");
    assert_eq!(hosts(&stage.wait(4.9)), [""; 0]);
    assert_eq!(hosts(&stage.wait(0.1)), ["b.test"]);
    stage.opened(2, "10.0.0.8:80");
    assert_said(stage.receive(2, &answer(b"")), lines!["close 2", "announced, 0 peers"]);
    // One has answered: the others are not asked.
    assert_eq!(hosts(&stage.wait(60.0)), [""; 0]);
    assert_eq!(hosts(&stage.wait(1740.0)), ["a.test"]);
}

/// The first peers come 5 seconds after the start, and no silence of the first tier costs more.
#[test]
fn peers_come_within_six_seconds_behind_a_silent_tier() {
    for silent in ["udp://a.test:1", "http://a.test/"] {
        let mut stage = stage(&[&[silent], &["http://b.test/"]]);
        let begun = stage.now;
        stage.said();
        if silent.starts_with("udp") {
            stage.opened(0, "10.0.0.9:1");
        }
        while !stage.wait(0.1).iter().any(|line| line.starts_with("open 2 http b.test")) {}
        stage.opened(2, "10.0.0.8:80");
        let said = stage.receive(2, &answer(&PEER_A));
        assert!(said.contains(&"open 4 10.0.0.1:6881".to_owned()), "{said:?}");
        assert!(stage.now <= begun + std::time::Duration::from_secs(6), "{silent}");
    }
}

/// The tracker that is silent answers at last: its peers are taken, and who is asked when does not change.
#[test]
fn a_late_answer_counts_and_does_not_move_the_round() {
    let mut stage = stage(&[&["udp://a.test:1"], &["http://b.test/"]]);
    stage.said();
    let said = stage.opened(0, "10.0.0.9:1");
    stage.wait(5.0);
    stage.opened(2, "10.0.0.8:80");
    stage.receive(2, &answer(&PEER_A));
    let said = stage.receive(0, &[&numbers(&[0])[..], &transaction(&said[0]), &[7; 8]].concat());
    let reply = [&numbers(&[1])[..], &transaction(&said[0]), &numbers(&[60, 0, 1]), &PEER_B].concat();
    assert_said(stage.receive(0, &reply), lines!["announced, 1 peers", "open 6 10.0.0.2:6881"]);
    stage.closed(4, CloseReason::Refused);
    stage.closed(6, CloseReason::Refused);
    // Not after a minute, as the late one says.
    assert_eq!(hosts(&stage.wait(1700.0)), [""; 0]);
    assert!(!hosts(&stage.wait(100.0)).is_empty());
}

#[test]
fn the_next_round_does_not_wait_for_a_tracker_that_is_silent() {
    let mut stage = stage(&[&["udp://a.test:1"], &["http://b.test/"]]);
    stage.said();
    stage.opened(0, "10.0.0.9:1");
    stage.wait(5.0);
    stage.opened(2, "10.0.0.8:80");
    let reply = respond("200 OK", "", "d8:intervali1800e12:min intervali30e5:peers0:e");
    stage.receive(2, &reply);
    // Peers are needed: after 30 seconds the tracker that answers is asked again. The silent one is asked for 105.
    assert_eq!(hosts(&stage.wait(30.0)), ["b.test"]);
}

#[test]
fn silent_trackers_do_not_hold_up_the_end() {
    let mut stage = stage(&[&["udp://a.test:1"], &["http://b.test/"]]);
    stage.said();
    stage.opened(0, "10.0.0.9:1");
    stage.wait(5.0);
    stage.opened(2, "10.0.0.8:80");
    stage.receive(2, &answer(b""));
    assert_eq!(stage.hear(Input::Stop), ["close 0", "open 4 http b.test 80"]);
    stage.opened(4, "10.0.0.8:80");
    assert!(stage.receive(4, &answer(b"")).contains(&"done".to_owned()));
}

fn over_both_families(url: &str) -> Stage {
    let mut config = config();
    config.profile.announce.both_families = true;
    Stage::new(config, torrent(40_000, 32_768, &[&[url]], ""), &[])
}

#[test]
fn a_tracker_is_announced_to_over_both_families_with_one_key() {
    let mut stage = over_both_families("http://t.test/announce");
    stage.said();
    let first = stage.opened(0, "[2001:db8::9]:80");
    assert_said(
        stage.receive(0, &answer(b"")),
        lines!["close 0", "announced, 0 peers", "open 2 http t.test 80 Ipv4"],
    );
    let second = stage.opened(2, "10.0.0.9:80");
    assert!(first[0].contains("&key=0123ABCD&event=started"), "{first:?}");
    assert_eq!(first[0].replace("send 0", "send 2"), second[0]);
    assert_said(stage.receive(2, &answer(b"")), lines!["close 2", "announced, 0 peers"]);
    // The next round is that of the tracker; what the twin says does not move it.
    assert_said(stage.wait(1799.0), &[]);
    assert_said(stage.wait(1.0), lines!["open 4 http t.test 80 Ipv6"]);
    stage.opened(4, "[2001:db8::9]:80");
    assert_said(
        stage.receive(4, &answer(b"")),
        lines!["close 4", "announced, 0 peers", "open 6 http t.test 80 Ipv4"],
    );
    let again = stage.opened(6, "10.0.0.9:80");
    assert!(!again[0].contains("event="), "{again:?}");
    stage.receive(6, &answer(b""));
    assert_said(stage.hear(Input::Stop), lines!["open 8 http t.test 80 Ipv6", "open 10 http t.test 80 Ipv4"]);
    assert!(stage.opened(10, "10.0.0.9:80")[0].contains("&event=stopped"));
}

#[test]
fn the_lack_of_another_family_is_no_news_and_a_failure_asks_both_again() {
    let mut stage = over_both_families("http://t.test/announce");
    stage.said();
    stage.opened(0, "10.0.0.9:80");
    let said = stage.receive(0, &answer(b""));
    assert_eq!(said.last().unwrap(), "open 2 http t.test 80 Ipv6");
    assert_said(stage.closed(2, CloseReason::Unresolved("no address".into())), &[]);
    assert_said(stage.wait(1800.0), lines!["open 4 http t.test 80 Ipv4"]);
    stage.closed(4, CloseReason::Refused);
    assert_said(stage.wait(30.0), lines!["open 6 http t.test 80"]);
    // Now it is the other way round.
    stage.opened(6, "[2001:db8::9]:80");
    let said = stage.receive(6, &answer(b""));
    assert_eq!(said.last().unwrap(), "open 8 http t.test 80 Ipv4");
}

#[test]
fn an_address_has_no_other_family() {
    let mut stage = over_both_families("http://10.0.0.9/announce");
    stage.said();
    stage.opened(0, "10.0.0.9:80");
    assert_said(stage.receive(0, &answer(b"")), lines!["close 0", "announced, 0 peers"]);
}

#[test]
fn a_udp_tracker_is_announced_to_over_both_families() {
    let mut stage = over_both_families("udp://t.test:1");
    stage.said();
    for (stream, address) in [(0, "10.0.0.9:1"), (2, "[2001:db8::9]:1")] {
        let said = stage.opened(stream, address);
        let said = stage.receive(stream, &[&numbers(&[0])[..], &transaction(&said[0]), &[7; 8]].concat());
        let reply = [&numbers(&[1])[..], &transaction(&said[0]), &numbers(&[1800, 0, 1])].concat();
        let said = stage.receive(stream, &reply);
        let other = "open 2 udp t.test 1 Ipv6".to_owned();
        assert_eq!(said.contains(&other), stream == 0, "{said:?}");
    }
}

/// Whether a host may be in a local network is the word at the end of its line.
#[test]
fn a_tracker_in_a_local_network_is_asked_for_announce_alone() {
    for (url, opened) in [
        ("http://t.test/announce", "open 0 http t.test 80"),
        ("http://192.168.1.1/announce?reboot=1", "open 0 http 192.168.1.1 80 public"),
        ("http://t.test/cgi-bin/announce", "open 0 http t.test 80 public"),
        ("udp://t.test:1/x", "open 0 udp t.test 1"),
    ] {
        let mut config = config();
        config.allow_local = false;
        let mut stage = Stage::new(config, torrent(40_000, 32_768, &[&[url]], ""), &[]);
        assert_said(stage.said(), lines![opened]);
        let said = stage.closed(0, CloseReason::Local([192, 168, 1, 1].into()));
        assert!(said[0].starts_with("tracker failed: 192.168.1.1 is in a local network"), "{said:?}");
    }
}

#[test]
fn no_server_of_the_internet_leads_to_a_local_network() {
    for (address, opened) in
        [("1.1.1.1:80", "open 2 http u.test 80 public"), ("10.0.0.1:80", "open 2 http u.test 80")]
    {
        let mut config = config();
        config.allow_local = false;
        let mut stage = Stage::small(config);
        stage.said();
        stage.opened(0, address);
        let said = stage.receive(0, &respond("302 Found", "Location: http://u.test/announce\r\n", ""));
        assert_said(said, lines!["close 0", opened]);
    }
}

#[test]
fn announces_say_what_the_policy_of_encryption_takes() {
    for (policy, says) in [
        (EncryptionPolicy::Off, "&no_peer_id=1 HTTP"),
        (EncryptionPolicy::Allow, "&no_peer_id=1&supportcrypto=1 HTTP"),
        (EncryptionPolicy::Prefer, "&no_peer_id=1&supportcrypto=1 HTTP"),
        (EncryptionPolicy::Require, "&no_peer_id=1&supportcrypto=1&requirecrypto=1 HTTP"),
    ] {
        let mut config = config();
        config.profile.encryption = EncryptionProfile::own(policy);
        let mut stage = Stage::small(config);
        stage.said();
        let said = stage.opened(0, "10.0.0.9:80");
        assert!(said[0].contains(says), "{policy:?}: {said:?}");
    }
}

#[test]
fn of_many_silent_trackers_several_are_asked_at_once() {
    let urls: Vec<String> = (0..11).map(|number| format!("udp://{number}.test:1")).collect();
    let tiers: Vec<Vec<&str>> = urls.iter().map(|url| vec![url.as_str()]).collect();
    let tiers: Vec<&[&str]> = tiers.iter().map(Vec::as_slice).collect();
    let torrent = torrent(40_000, 32_768, &tiers, "");
    let mut stage = Stage::new(Config { rounds: Some(1), ..config() }, torrent, &[]);
    let mut asked: Vec<String> = Vec::new();
    for (seconds, all) in [(0.0, 4), (5.0, 8), (5.0, 11), (5.0, 11)] {
        let said = if seconds == 0.0 { stage.said() } else { stage.wait(seconds) };
        asked.extend(hosts(&said).into_iter().map(str::to_owned));
        assert_eq!(asked.len(), all, "{asked:?}");
        for stream in 0..11 {
            if said.contains(&format!("open {} udp {stream}.test 1", 2 * stream)) {
                stage.opened(2 * stream, "10.0.0.9:1");
            }
        }
    }
    // Each in its order, and once.
    assert_eq!(asked, (0..11).map(|number| format!("{number}.test")).collect::<Vec<_>>());
    // Two fail; the last that is asked answers, and ends the only round.
    stage.closed(0, CloseReason::Refused);
    stage.closed(2, CloseReason::Refused);
    assert!(!stage.over);
    stage.closed(20, CloseReason::Refused);
    for stream in (4..20).step_by(2) {
        assert!(!stage.over, "{stream} is still asked");
        stage.closed(stream, CloseReason::Refused);
    }
    assert!(stage.over);
}

#[test]
fn the_tracker_id_is_repeated_and_the_regular_announce_has_no_event() {
    let mut stage = stage(&[&["http://t.test/announce"]]);
    stage.said();
    stage.opened(0, "10.0.0.9:80");
    stage
        .receive(0, &respond("200 OK", "", "d8:intervali60e12:min intervali40e5:peers0:10:tracker id3:a&be"));
    // Peers are needed: the least interval counts.
    assert_said(stage.wait(39.0), &[]);
    assert_said(stage.wait(1.0), lines!["open 2 http t.test 80"]);
    let said = stage.opened(2, "10.0.0.9:80");
    assert!(said[0].contains("&trackerid=a%26b ") && !said[0].contains("event="), "{said:?}");
}

#[test]
fn what_is_no_tracker_is_said_once_and_passed_over() {
    let mut stage = stage(&[&["wss://t.test/"], &["http://t.test/announce"]]);
    assert_said(
        stage.said(),
        lines!["tracker failed: not the URL of a supported tracker; again None", "open 0 http t.test 80"],
    );
}

/// The transaction id of the datagram in this line.
fn transaction(line: &str) -> Vec<u8> {
    let bytes: Vec<u8> = line.split(' ').skip(2).map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    bytes[12..16].to_vec()
}

#[test]
fn a_udp_tracker_is_asked_for_a_connection_first() {
    let mut stage = stage(&[&["udp://t.test:1337/announce?k=1"]]);
    assert_said(stage.said(), lines!["open 0 udp t.test 1337"]);
    let said = stage.opened(0, "10.0.0.9:1337");
    assert!(said[0].starts_with("send 0 00 00 04 17 27 10 19 80 00 00 00 00 "), "{said:?}");
    // Somebody else's answer.
    assert_said(stage.receive(0, &[0; 16]), &[]);
    let connection = [0xc0, 1, 2, 3, 4, 5, 6, 7];
    let said = stage.receive(0, &[&numbers(&[0])[..], &transaction(&said[0]), &connection].concat());
    let id = transaction(&said[0]);
    let mut wanted = connection.to_vec();
    wanted.extend(numbers(&[1]));
    wanted.extend(&id);
    wanted.extend(stage.torrent.info_hash.0);
    wanted.extend(OUR_ID);
    wanted.extend(numbers(&[0, 0, 0, 40_000, 0, 0])); // downloaded, left, uploaded
    wanted.extend(numbers(&[2, 0, 0x0123_abcd, 200])); // started, no address, key, numwant
    wanted.extend(6881_u16.to_be_bytes());
    wanted.extend(b"\x02\x0d/announce?k=1"); // BEP 41
    assert_said(said.clone(), lines![sent(0, &wanted)]);
    let reply = [&numbers(&[1])[..], &id, &numbers(&[1800, 0, 1]), &PEER_A].concat();
    assert_said(stage.receive(0, &reply), lines!["announced, 1 peers", "open 2 10.0.0.1:6881"]);
    // The link goes when its connection id is worth nothing any longer.
    assert!(stage.wait(60.0).contains(&"close 0".to_owned()));
}

#[test]
fn a_silent_udp_tracker_is_asked_again_at_growing_intervals() {
    let mut stage = stage(&[&["udp://t.test:1337"]]);
    stage.said();
    stage.opened(0, "10.0.0.9:1337");
    assert_said(stage.wait(14.9), &[]);
    assert_eq!(stage.wait(0.1).len(), 1);
    assert_said(stage.wait(29.9), &[]);
    assert_eq!(stage.wait(0.1).len(), 1);
    assert_said(stage.wait(59.9), &[]);
    assert_said(stage.wait(0.1), lines!["close 0", "tracker failed: no response in time; again Some(30s)"]);
}

#[test]
fn a_udp_tracker_that_refuses_says_why() {
    let mut stage = stage(&[&["udp://t.test:1337"]]);
    stage.said();
    let said = stage.opened(0, "10.0.0.9:1337");
    let error = [&numbers(&[3])[..], &transaction(&said[0]), b"not registered"].concat();
    assert_said(
        stage.receive(0, &error),
        lines!["close 0", "tracker failed: not registered; again Some(30s)"],
    );
}

#[test]
fn a_new_announce_within_a_minute_uses_the_same_connection() {
    let mut stage = stage(&[&["udp://t.test:1337"]]);
    stage.said();
    let said = stage.opened(0, "10.0.0.9:1337");
    let said = stage.receive(0, &[&numbers(&[0])[..], &transaction(&said[0]), &[7; 8]].concat());
    let reply = [&numbers(&[1])[..], &transaction(&said[0]), &numbers(&[1800, 0, 1])].concat();
    stage.receive(0, &reply);
    let said = stage.hear(Input::Stop);
    assert!(said[0].starts_with("send 0 07 07 07 07 07 07 07 07 00 00 00 01 "), "{said:?}");
    assert!(said[0].contains(" 00 00 00 03 00 00 00 00 01 23 ab cd"), "stopped: {said:?}");
}

#[test]
fn a_connection_id_that_the_tracker_has_forgotten_is_renewed_at_once() {
    let mut stage = stage(&[&["udp://t.test:1337"]]);
    stage.said();
    let said = stage.opened(0, "10.0.0.9:1337");
    let mut said = stage.receive(0, &[&numbers(&[0])[..], &transaction(&said[0]), &[7; 8]].concat());
    let refusal = |said: &[String]| {
        [&numbers(&[3])[..], &transaction(&said[0]), b"Connection ID missmatch.\0"].concat()
    };
    said = stage.receive(0, &refusal(&said));
    assert!(said[0].starts_with("send 0 00 00 04 17 27 10 19 80 00 00 00 00 "), "{said:?}");
    said = stage.receive(0, &[&numbers(&[0])[..], &transaction(&said[0]), &[8; 8]].concat());
    assert!(said[0].starts_with("send 0 08 08 08 08 08 08 08 08 00 00 00 01 "), "{said:?}");
    // Once is enough.
    let said = stage.receive(0, &refusal(&said));
    assert!(said[1].starts_with("tracker failed: Connection ID missmatch."), "{said:?}");
}

#[test]
fn our_own_address_is_not_dialled() {
    let mut stage = stage(&[&["http://t.test/announce"]]);
    stage.said();
    stage.opened(0, "10.0.0.9:80");
    // External address 10.0.0.1, and 10.0.0.1:6881 among the peers; port 0 and 0.0.0.0 are nobody's.
    let mut body = b"d11:external ip4:\x0a\0\0\x018:intervali1800e5:peers24:".to_vec();
    body.extend([PEER_A, PEER_B, [10, 0, 0, 3, 0, 0], [0, 0, 0, 0, 0, 80]].concat());
    body.push(b'e');
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let said = stage.receive(0, &[head.as_bytes(), &body].concat());
    assert_said(said, lines!["close 0", "announced, 4 peers", "open 2 10.0.0.2:6881"]);
}

/// Peers in the long form, by these hosts.
fn long_answer(hosts: &[&str]) -> Vec<u8> {
    let peers: String = hosts.iter().map(|host| format!("d2:ip{}:{host}4:porti6881ee", host.len())).collect();
    respond("200 OK", "", &format!("d8:intervali1800e5:peersl{peers}ee"))
}

#[test]
fn peers_that_are_named_by_name_are_looked_up_and_dialled() {
    let mut stage = stage(&[&["http://t.test/announce"]]);
    stage.said();
    stage.opened(0, "10.0.0.9:80");
    let said = stage.receive(0, &long_answer(&["a.test", "10.0.0.2", "b.test", "a.test"]));
    assert_said(
        said,
        lines![
            "close 0",
            "announced, 4 peers",
            "resolve a.test:6881",
            "resolve b.test:6881",
            "open 2 10.0.0.2:6881"
        ],
    );
    let name = |host: &str| HostPort { host: host.to_owned(), port: 6881 };
    let addresses = ["10.0.0.1:6881".parse().unwrap(), "[fd00::1]:6881".parse().unwrap()].to_vec();
    let said = stage.hear(Input::Resolved(name("a.test"), Ok(addresses)));
    assert_said(said, lines!["open 4 10.0.0.1:6881", "open 6 [fd00::1]:6881"]);
    let said = stage.hear(Input::Resolved(name("b.test"), Err("no such name".to_owned())));
    assert_said(said, lines!["b.test:6881 has no address: no such name"]);
    // What nobody asked for is nobody's word.
    let stranger = Input::Resolved(name("c.test"), Ok(vec!["10.0.0.3:6881".parse().unwrap()]));
    assert_said(stage.hear(stranger), &[]);
}

#[test]
fn a_run_does_not_end_while_a_name_is_looked_up() {
    let torrent = torrent(40_000, 32_768, &[&["http://t.test/announce"]], "");
    let mut stage = Stage::new(Config { rounds: Some(1), ..config() }, torrent, &[]);
    stage.said();
    stage.opened(0, "10.0.0.9:80");
    let said = stage.receive(0, &long_answer(&["a.test"]));
    assert_said(said, lines!["close 0", "announced, 1 peers", "resolve a.test:6881"]);
    let name = HostPort { host: "a.test".to_owned(), port: 6881 };
    let said = stage.hear(Input::Resolved(name, Err("no such name".to_owned())));
    // Now there is nobody: goodbye is said to the tracker.
    assert_said(said, lines!["a.test:6881 has no address: no such name", "open 2 http t.test 80"]);
}

#[test]
fn a_list_of_thousands_of_names_is_not_looked_up_at_once() {
    let mut stage = stage(&[&["http://t.test/announce"]]);
    stage.said();
    stage.opened(0, "10.0.0.9:80");
    let hosts: Vec<String> = (0..5_000).map(|number| format!("{number}.test")).collect();
    let said = stage.receive(0, &long_answer(&hosts.iter().map(String::as_str).collect::<Vec<_>>()));
    assert_eq!(said.iter().filter(|line| line.starts_with("resolve")).count(), 50);
}
