//! The trackers of a reference, each by itself: where it was, what it answers over HTTP and over UDP, and which URL leads to it.

use std::net::{IpAddr, SocketAddr};

use bittrace_protocol::in_brackets;
use bittrace_protocol::session::ServerUrl;
use bittrace_protocol::tracker::udp::Packet;
use bittrace_trace::{Body, HttpTrackerBody, Side};

use crate::model::transcript::{Conversation, ConversationRole, Transcript};
use crate::play::replay_tracker::ReplayTracker;
use crate::play::replay_udp_tracker::ReplayUdpTracker;

/// A tracker of a reference.
#[derive(Debug)]
pub(crate) struct ReplayedTracker {
    /// Its address in the reference.
    pub(crate) far: SocketAddr,
    /// The client's address in its first conversation over HTTP, and over UDP.
    pub(crate) local: [Option<SocketAddr>; 2],
    /// The host and port that the client asked for over HTTP, by its first Host header.
    host: Option<String>,
    /// Path and query that announces had, over HTTP and over UDP.
    targets: [Option<String>; 2],
    /// What it answers over HTTP.
    pub(crate) http: ReplayTracker,
    /// What it answers over UDP.
    pub(crate) udp: ReplayUdpTracker,
}

/// How a tracker is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TrackerScheme {
    Http,
    Udp,
}

impl ReplayedTracker {
    /// The trackers that the client of `reference` asked about its torrent, in the order in which it began to.
    pub(crate) fn all(reference: &Transcript) -> Vec<Self> {
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for conversation in reference.trackers() {
            if !addresses.contains(&conversation.far()) {
                addresses.push(conversation.far());
            }
        }
        let of = |far| Self::of(far, reference.trackers().filter(|one| one.far() == far).collect());
        addresses.into_iter().map(of).collect()
    }

    fn of(far: SocketAddr, conversations: Vec<&Conversation>) -> Self {
        let over = |role| move |one: &&&Conversation| one.role == role;
        let local = [ConversationRole::HttpTracker, ConversationRole::UdpTracker]
            .map(|role| conversations.iter().find(over(role)).map(|one| one.local_address()));
        let (mut host, mut targets) = (None, [None, None]);
        for (_, message) in
            conversations.iter().flat_map(|one| one.messages()).filter(|(side, _)| *side == Side::Local)
        {
            match message.body() {
                Body::HttpTracker(HttpTrackerBody::Request(request, _)) => {
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    host = host.or_else(|| request.header("host").map(text));
                    targets[0] = targets[0].take().or_else(|| Some(text(request.path())));
                }
                Body::UdpTracker(packet) => {
                    if let Packet::AnnounceRequest(request) = &*packet {
                        let target =
                            request.url_data().map(|data| String::from_utf8_lossy(&data).into_owned());
                        targets[1] = targets[1].take().or(target);
                    }
                }
                _ => {}
            }
        }
        Self {
            far,
            local,
            host,
            targets,
            http: ReplayTracker::of(conversations.iter().copied()),
            udp: ReplayUdpTracker::of(conversations.iter().copied()),
        }
    }

    /// Whether the client of the reference asked it in this way.
    pub(crate) fn is_asked(&self, scheme: TrackerScheme) -> bool {
        self.local[scheme as usize].is_some()
    }

    /// The answers of the reference that nobody asked for, a sentence each.
    pub(crate) fn unused(&self) -> impl Iterator<Item = String> + '_ {
        let over_http = self.http.unused().map(|(topic, number)| (topic.describe(), number));
        let over_udp = self.udp.unused().map(|(topic, number)| (topic.describe(), number));
        over_http.chain(over_udp).map(|(request, number)| {
            format!("{request} was not sent: the tracker's answer to it (message {number}) was not used")
        })
    }

    /// How likely a URL of this host and port led to it: not at all, by the port alone, or for certain.
    fn likeness(&self, scheme: TrackerScheme, host: &str, port: u16) -> u8 {
        if !self.is_asked(scheme) {
            return 0;
        }
        let is_host = |said: &String| scheme == TrackerScheme::Http && is_named(said, host, port);
        let is_address =
            host.parse::<IpAddr>().is_ok_and(|ip| ip == self.far.ip()) && port == self.far.port();
        match (is_address || self.host.as_ref().is_some_and(is_host), port == self.far.port()) {
            (true, _) => 2,
            // An address that is another one's is no name of this.
            (false, true) if host.parse::<IpAddr>().is_err() => 1,
            (false, _) => 0,
        }
    }

    /// The place among `trackers` of the one that a URL of this host and port led to.
    pub(crate) fn find(trackers: &[Self], scheme: TrackerScheme, host: &str, port: u16) -> Option<usize> {
        let likely = trackers.iter().map(|tracker| tracker.likeness(scheme, host, port));
        let best = likely.enumerate().filter(|(_, likeness)| *likeness > 0);
        // Of several that are as likely, the first.
        best.rev().max_by_key(|(_, likeness)| *likeness).map(|(place, _)| place)
    }

    /// The URL under which it is asked when it is at `address`. `target` is path and query; without it those of the reference.
    fn url(&self, scheme: TrackerScheme, address: SocketAddr, target: Option<&str>) -> String {
        let target = target.or(self.targets[scheme as usize].as_deref()).unwrap_or("/announce");
        match scheme {
            TrackerScheme::Http => format!("http://{address}{target}"),
            TrackerScheme::Udp => format!("udp://{address}{target}"),
        }
    }

    /// Whether a URL of these tiers led to one of `trackers`.
    pub(crate) fn is_any_named(trackers: &[Self], tiers: &[Vec<String>]) -> bool {
        tiers.iter().flatten().any(|url| Self::find_url(trackers, url).is_some())
    }

    /// The place among `trackers` of the one that a URL led to, how it is asked there, and the URL's path and query.
    fn find_url(trackers: &[Self], url: &str) -> Option<(usize, TrackerScheme, String)> {
        let (scheme, host, port, target) = match ServerUrl::parse(url)? {
            ServerUrl::Http { host, port, target, .. } => (TrackerScheme::Http, host, port, target),
            ServerUrl::Udp { host, port, target } => (TrackerScheme::Udp, host, port, target),
            ServerUrl::Https { .. } => return None,
        };
        Self::find(trackers, scheme, &host, port).map(|place| (place, scheme, target))
    }

    /// The tiers of a torrent's copy, whose tiers are `original`, when each of `trackers` is at the address of its place in
    /// `addresses`. A tracker that no URL led to has a tier of its own after the others; URLs that led to none are left out.
    pub(crate) fn tiers(
        trackers: &[Self],
        addresses: &[SocketAddr],
        original: &[Vec<String>],
    ) -> Vec<Vec<String>> {
        let mut used: Vec<(usize, TrackerScheme)> = Vec::new();
        let mut tiers: Vec<Vec<String>> = Vec::new();
        for tier in original {
            let mut copied: Vec<String> = Vec::new();
            for url in tier {
                let Some((place, scheme, target)) = Self::find_url(trackers, url) else { continue };
                let Some(address) = addresses.get(place) else { continue };
                used.push((place, scheme));
                copied.push(trackers[place].url(scheme, *address, Some(&target)));
            }
            tiers.push(copied);
        }
        for (place, (tracker, address)) in trackers.iter().zip(addresses).enumerate() {
            for scheme in [TrackerScheme::Http, TrackerScheme::Udp] {
                if tracker.is_asked(scheme) && !used.contains(&(place, scheme)) {
                    tiers.push(vec![tracker.url(scheme, *address, None)]);
                }
            }
        }
        tiers.retain(|tier| !tier.is_empty());
        tiers
    }
}

/// Whether a Host header has this host and port.
fn is_named(header: &str, host: &str, port: u16) -> bool {
    let name = in_brackets(host);
    header.eq_ignore_ascii_case(&format!("{name}:{port}"))
        || (port == 80 && header.eq_ignore_ascii_case(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracker(far: &str, host: Option<&str>, over: [bool; 2]) -> ReplayedTracker {
        let local = "10.0.0.1:4000".parse().expect("an address");
        ReplayedTracker {
            far: far.parse().expect("an address"),
            local: over.map(|asked| asked.then_some(local)),
            host: host.map(str::to_owned),
            targets: [None, None],
            http: ReplayTracker::default(),
            udp: ReplayUdpTracker::default(),
        }
    }

    fn tiers(trackers: &[ReplayedTracker], original: &[&[&str]]) -> Vec<Vec<String>> {
        let addresses: Vec<SocketAddr> =
            (1..=trackers.len()).map(|port| SocketAddr::from(([127, 0, 0, 2], port as u16))).collect();
        let original: Vec<Vec<String>> =
            original.iter().map(|tier| tier.iter().map(|&url| url.to_owned()).collect()).collect();
        ReplayedTracker::tiers(trackers, &addresses, &original)
    }

    #[test]
    fn several_trackers_stay_several_in_their_tiers() {
        let trackers = [
            tracker("10.0.0.2:6969", None, [true, true]),
            tracker("10.0.0.3:6969", Some("second.test:6969"), [true, false]),
            tracker("10.0.0.4:1337", None, [false, true]),
        ];
        let original: &[&[&str]] = &[
            &["http://10.0.0.2:6969/a?k=1", "http://second.test:6969/announce"],
            &["udp://10.0.0.9:6969/never-asked", "https://10.0.0.2:6969/encrypted"],
            &["udp://third.test:1337", "udp://10.0.0.2:6969/announce"],
        ];
        assert_eq!(
            tiers(&trackers, original),
            [
                ["http://127.0.0.2:1/a?k=1", "http://127.0.0.2:2/announce"],
                ["udp://127.0.0.2:3", "udp://127.0.0.2:1/announce"],
            ]
        );
    }

    #[test]
    fn a_tracker_that_the_torrent_does_not_name_has_a_tier_of_its_own() {
        let mut trackers = [tracker("10.0.0.2:6969", None, [true, true])];
        trackers[0].targets = [Some("/x".to_owned()), None];
        assert_eq!(tiers(&trackers, &[]), [["http://127.0.0.2:1/x"], ["udp://127.0.0.2:1/announce"]]);
    }

    #[test]
    fn a_url_leads_to_its_address_before_one_that_has_the_port_alone() {
        let trackers = [
            tracker("10.0.0.2:80", Some("one.test"), [true, false]),
            tracker("10.0.0.3:80", Some("two.test"), [true, false]),
        ];
        let find = |host, port| ReplayedTracker::find(&trackers, TrackerScheme::Http, host, port);
        assert_eq!((find("TWO.test", 80), find("10.0.0.3", 80)), (Some(1), Some(1)));
        assert_eq!(
            (find("other.test", 80), find("10.0.0.9", 80), find("one.test", 81)),
            (Some(0), None, None)
        );
        assert_eq!(ReplayedTracker::find(&trackers, TrackerScheme::Udp, "one.test", 80), None);
    }
}
