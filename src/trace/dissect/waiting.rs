//! One budget for all that waits: bytes whose message is not whole yet, over all streams. When they are too many, the
//! streams that hold most give way: what waits there is shown as part of a message, and a note says why. Nothing is lost.

use super::{Dissected, Dissector};
use crate::{Moment, StreamId, StreamInterest};
use std::collections::VecDeque;

/// How many bytes may wait on all streams together, with what is remembered of their packets. A message may have 16 MiB,
/// an HTTP body as many, and 65,536 connections may be open: without a total that is a terabyte. This is room for eight
/// messages of the greatest length, or for a block of 16 KiB half sent on each of 8,192 connections. Memory grows in
/// doubling steps, so that up to twice as much is allocated.
pub(super) const WAITING_BUDGET: usize = 128 << 20;

/// How much may wait after streams gave way. Looking for the streams that hold most costs a look at each stream: at least
/// the difference to the budget has to arrive between two looks.
const WAITING_AFTER: usize = WAITING_BUDGET / 2;

/// A connection by what carries it. The numbers of uTP connections are their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum WaitingStream {
    Tcp(StreamId),
    Utp(StreamId),
}

impl Dissector {
    /// Has the streams that hold most give way. The answer is whether the bytes of `stream` are wanted from now on.
    #[cold]
    pub(super) fn relieve(
        &mut self,
        moment: Moment,
        stream: StreamId,
        out: &mut VecDeque<Dissected>,
    ) -> StreamInterest {
        self.relieve_all(moment, out);
        self.connections.get(&stream).map_or(StreamInterest::Unwanted, |connection| connection.interest())
    }

    /// The same when a datagram came.
    #[cold]
    pub(super) fn relieve_all(&mut self, moment: Moment, out: &mut VecDeque<Dissected>) {
        let tcp = self.connections.iter().map(|(stream, known)| (known.cost(), WaitingStream::Tcp(*stream)));
        let utp = self
            .datagrams
            .utp_connections()
            .map(|(stream, known)| (known.cost(), WaitingStream::Utp(stream)));
        let mut holders: Vec<(usize, WaitingStream)> = tcp.chain(utp).filter(|(cost, _)| *cost > 0).collect();
        // Among equals the older stream gives way, so that two runs say the same.
        holders.sort_unstable_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(&other.1)));
        for (_, holder) in holders {
            if self.recognised.waiting <= WAITING_AFTER {
                break;
            }
            match holder {
                WaitingStream::Tcp(stream) => {
                    let Some(known) = self.connections.get_mut(&stream) else { continue };
                    let undecided = known.undecided_cost();
                    known.give_way(moment, &mut self.recognised, out);
                    self.undecided = self.undecided + known.undecided_cost() - undecided;
                }
                WaitingStream::Utp(stream) => {
                    self.datagrams.give_way(stream, moment, &mut self.recognised, out)
                }
            }
        }
    }
}
