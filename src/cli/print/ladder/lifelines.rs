//! The lifelines of a ladder: a letter and a line for each host, and the arrow of a message between two of them. What is drawn
//! here has one column for each character, also in plain ASCII.

use bittrace_report::HostKey;
use bittrace_trace::record::Record;

use crate::print::message_table::stream_line::service;
use crate::print::output::{Look, styles};

/// A host that has a lifeline.
#[derive(Debug, Clone)]
pub(super) struct Host {
    key: HostKey,
    /// Its client, or what it serves; empty while that is unknown.
    name: String,
    /// Whether the name is that of a client.
    has_client: bool,
}

/// The hosts of a ladder from left to right, at most [`MOST`].
#[derive(Debug, Clone, Default)]
pub(super) struct Lifelines {
    hosts: Vec<Host>,
}

/// How many hosts have a lifeline each; nobody follows an arrow over more.
pub(super) const MOST: usize = 9;

/// How far lifelines stand apart, the widest first.
const SPACINGS: [usize; 3] = [4, 3, 2];

/// How many columns an arrow between neighbours takes where lifelines stand apart as far as they can.
pub(super) const PAIR: usize = 5;

impl Lifelines {
    /// Puts a host that has a lifeline at the left: the local one.
    pub(super) fn put_first(&mut self, key: HostKey) {
        if let Some(at) = self.place(key) {
            self.hosts[..=at].rotate_right(1);
        }
    }

    /// Takes in the two ends of a message. Returns how many of them had no lifeline; `None` where one of them has no place.
    pub(super) fn see(&mut self, record: &Record) -> Option<usize> {
        let known = self.hosts.len();
        let protocol = record.body.protocol();
        let ends = [(record.source, true), (record.destination, false)];
        for (key, (end, is_source)) in HostKey::ends(record).into_iter().zip(ends) {
            let at = match self.place(key) {
                Some(at) => at,
                None if self.hosts.len() == MOST => return None,
                None => {
                    self.hosts.push(Host { key, name: String::new(), has_client: false });
                    self.hosts.len() - 1
                }
            };
            let host = &mut self.hosts[at];
            let client = record.client.as_deref().filter(|_| is_source && !host.has_client);
            // Trackers answer and are called; a peer is named by what it says itself.
            let is_responder = end == record.flow().responder;
            let service = service(protocol).filter(|_| is_responder && host.name.is_empty());
            host.has_client |= client.is_some();
            if let Some(name) = client.or(service) {
                name.clone_into(&mut host.name);
            }
        }
        Some(self.hosts.len() - known)
    }

    /// The place of a host, from the left.
    pub(super) fn place(&self, key: HostKey) -> Option<usize> {
        self.hosts.iter().position(|host| host.key == key)
    }

    pub(super) const fn count(&self) -> usize {
        self.hosts.len()
    }

    /// How far apart the lifelines stand in so many columns; `None` where there is no room for all of them.
    pub(super) fn spacing(&self, room: usize) -> Option<usize> {
        let gaps = self.hosts.len().saturating_sub(1);
        SPACINGS.into_iter().find(|spacing| gaps * spacing < room)
    }

    /// Which letter is which host, `A 10.77.0.3 (local, aria2/1.36.0)`, beginning with the host in place `from`.
    pub(super) fn legend(&self, from: usize, local: Option<HostKey>) -> Vec<String> {
        let of = |(at, host): (usize, &Host)| {
            let is_local = local == Some(host.key);
            let parts = [if is_local { "local" } else { "" }, &host.name];
            let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            let about = if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) };
            format!("{} {}{about}", letter(at), host.key)
        };
        self.hosts.iter().enumerate().skip(from).map(of).collect()
    }

    /// The letters over the lifelines.
    pub(super) fn letters(&self, spacing: usize) -> String {
        let letters: Vec<String> = (0..self.hosts.len()).map(|at| letter(at).to_string()).collect();
        letters.join(&" ".repeat(spacing - 1))
    }
}

/// The letter of the host in a place.
fn letter(at: usize) -> char {
    char::from(b'A' + (at % 26) as u8)
}

/// `count` lifelines in which nothing happens.
pub(super) fn silent(count: usize, spacing: usize) -> String {
    vec!["┊"; count].join(&" ".repeat(spacing - 1))
}

/// `count` lifelines, and an arrow from one to another. `style` is that of the arrow.
pub(super) fn arrow(
    count: usize,
    spacing: usize,
    (from, to): (usize, usize),
    style: anstyle::Style,
    look: Look,
) -> String {
    let (left, right) = (from.min(to), from.max(to));
    let mut line: Vec<char> = Vec::with_capacity(count * spacing);
    for place in 0..count {
        if place > 0 {
            let within = place > left && place <= right;
            line.extend(std::iter::repeat_n(if within { '─' } else { ' ' }, spacing - 1));
        }
        line.push(match place {
            place if place == from && from < to => '├',
            place if place == from && from > to => '┤',
            place if place > left && place < right => '┼',
            _ => '│',
        });
    }
    match from < to {
        true => line[to * spacing - 1] = '>',
        false if from > to => line[to * spacing + 1] = '<',
        false => {}
    }
    let part =
        |range: std::ops::Range<usize>, style| look.paint(style, &line[range].iter().collect::<String>());
    let (begin, end) = (left * spacing, right * spacing + 1);
    let [before, shown, after] =
        [part(0..begin, styles::DIM), part(begin..end, style), part(end..line.len(), styles::DIM)];
    format!("{before}{shown}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(spacing: usize, ends: (usize, usize)) -> String {
        arrow(4, spacing, ends, styles::SENT, Look { width: 80, colour: false })
    }

    #[test]
    fn arrows_cross_the_lifelines_between_their_ends() {
        assert_eq!(drawn(4, (0, 2)), "├───┼──>│   │");
        assert_eq!(drawn(4, (2, 0)), "│<──┼───┤   │");
        assert_eq!(drawn(3, (1, 2)), "│  ├─>│  │");
        assert_eq!(drawn(2, (3, 0)), "│<┼─┼─┤");
        assert_eq!(drawn(2, (2, 3)), "│ │ ├>│");
        assert_eq!(silent(3, 4), "┊   ┊   ┊");
    }

    #[test]
    fn lifelines_move_together_where_there_is_little_room_and_then_give_up() {
        let host = |last: u8| HostKey::Address([10, 0, 0, last].into());
        let hosts = [4, 3, 2, 1].map(|last| Host { key: host(last), name: String::new(), has_client: false });
        let mut lifelines = Lifelines { hosts: hosts.into() };
        assert_eq!(
            [13, 12, 10, 9, 7, 6].map(|room| lifelines.spacing(room)),
            [Some(4), Some(3), Some(3), Some(2), Some(2), None]
        );
        lifelines.put_first(host(2));
        assert_eq!(
            lifelines.legend(0, Some(host(2))),
            ["A 10.0.0.2 (local)", "B 10.0.0.4", "C 10.0.0.3", "D 10.0.0.1"]
        );
        assert_eq!(lifelines.letters(3), "A  B  C  D");
    }
}
