//! The connections by their ends, and in the order in which they were last heard. Open and closed ones are
//! counted apart: a closed one is only kept to know its stragglers.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::connection::TcpConnection;
use crate::packet::four_tuple::{FourTuple, RecentConversations};

/// The place of a connection in the table.
pub(super) type TableSlot = u32;

/// All connections that are known.
#[derive(Default)]
pub(super) struct Table {
    /// The keys are the capture's, so the hash is one that nobody can choose them to collide in.
    places: HashMap<FourTuple, TableSlot, RandomState>,
    slots: Vec<Slot>,
    free: Vec<TableSlot>,
    open: List,
    closed: List,
    recent: RecentConversations<TableSlot>,
}

struct Slot {
    key: FourTuple,
    connection: TcpConnection,
    older: TableSlot,
    newer: TableSlot,
    in_closed: bool,
}

/// A doubly linked list through the slots, oldest first.
struct List {
    oldest: TableSlot,
    newest: TableSlot,
    length: usize,
}

impl Default for List {
    fn default() -> Self {
        Self { oldest: NONE, newest: NONE, length: 0 }
    }
}

impl Table {
    #[inline]
    pub(super) fn find(&mut self, key: &FourTuple) -> Option<TableSlot> {
        self.recent.get(key).or_else(|| self.look_up(key))
    }

    fn look_up(&mut self, key: &FourTuple) -> Option<TableSlot> {
        let place = self.places.get(key).copied()?;
        self.recent.keep(*key, place);
        Some(place)
    }

    #[inline]
    pub(super) fn at(&mut self, place: TableSlot) -> &mut TcpConnection {
        &mut self.slots[place as usize].connection
    }

    /// How many open connections there are.
    pub(super) fn open(&self) -> usize {
        self.open.length
    }

    /// How many closed connections are remembered.
    pub(super) fn closed(&self) -> usize {
        self.closed.length
    }

    /// The open connection that was silent for longest.
    pub(super) fn longest_idle(&self) -> Option<TableSlot> {
        (self.open.oldest != NONE).then_some(self.open.oldest)
    }

    /// The connection that was closed first.
    pub(super) fn longest_closed(&self) -> Option<TableSlot> {
        (self.closed.oldest != NONE).then_some(self.closed.oldest)
    }

    /// The places of all open connections.
    pub(super) fn all_open(&self) -> Vec<TableSlot> {
        let mut places = Vec::with_capacity(self.open.length);
        let mut place = self.open.oldest;
        while place != NONE {
            places.push(place);
            place = self.slots[place as usize].newer;
        }
        places
    }

    pub(super) fn insert(&mut self, key: FourTuple, connection: TcpConnection) -> TableSlot {
        let slot = Slot { key, connection, older: NONE, newer: NONE, in_closed: false };
        let place = match self.free.pop() {
            Some(place) => {
                self.slots[place as usize] = slot;
                place
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as TableSlot
            }
        };
        self.places.insert(key, place);
        self.append(place);
        self.recent.keep(key, place);
        place
    }

    pub(super) fn remove(&mut self, place: TableSlot) {
        self.unlink(place);
        let key = self.slots[place as usize].key;
        self.places.remove(&key);
        self.recent.forget(&key);
        self.free.push(place);
    }

    /// The connection was heard just now.
    #[inline]
    pub(super) fn touch(&mut self, place: TableSlot) {
        if self.open.newest != place {
            self.unlink(place);
            self.append(place);
        }
    }

    /// The connection is closed: it no longer counts as open.
    pub(super) fn retire(&mut self, place: TableSlot) {
        self.unlink(place);
        self.slots[place as usize].in_closed = true;
        self.append(place);
    }

    fn list(&mut self, place: TableSlot) -> &mut List {
        if self.slots[place as usize].in_closed { &mut self.closed } else { &mut self.open }
    }

    fn unlink(&mut self, place: TableSlot) {
        let Slot { older, newer, .. } = self.slots[place as usize];
        if older != NONE {
            self.slots[older as usize].newer = newer;
        }
        if newer != NONE {
            self.slots[newer as usize].older = older;
        }
        let list = self.list(place);
        list.length -= 1;
        if list.oldest == place {
            list.oldest = newer;
        }
        if list.newest == place {
            list.newest = older;
        }
    }

    fn append(&mut self, place: TableSlot) {
        let list = self.list(place);
        let newest = std::mem::replace(&mut list.newest, place);
        list.length += 1;
        if newest == NONE {
            list.oldest = place;
        } else {
            self.slots[newest as usize].newer = place;
        }
        let slot = &mut self.slots[place as usize];
        slot.older = newest;
        slot.newer = NONE;
    }
}

const NONE: TableSlot = TableSlot::MAX;
