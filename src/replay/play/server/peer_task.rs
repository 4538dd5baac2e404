//! A recorded peer on a connection to a client.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bittrace_trace::{StreamClosing, StreamId, Transport};
use bytes::Bytes;
use tokio::time::{sleep, timeout};

use super::peer_stream::PeerStream;
use super::recorded_stream::RecordedStream;
use super::state::Shared;
use super::{PeerRun, PeerRunEnd, READ};
use crate::play::client_role::ClientRole;
use crate::play::fault::{Act, FaultInjector};
use crate::play::played_connection::PlayedConnection;
use crate::play::precondition::Precondition;
use crate::play::refusal::Refusal;
use crate::play::run_connection::RunConnection;

/// Plays a recorded peer on a connection to its end.
pub(super) async fn play(
    peer: PlayedConnection,
    recorded: (SocketAddr, StreamId),
    mut stream: PeerStream,
    line: RecordedStream,
    shared: Rc<RefCell<Shared>>,
) {
    let disturber = shared.borrow().disturber();
    let mut guard = Guard {
        shared: shared.clone(),
        far: recorded.0,
        connection: line.connection(),
        peer,
        end: PeerRunEnd::Open,
        disturber,
    };
    shared.borrow().sign(|signs| {
        signs.connections += 1;
        signs.open += 1;
    });
    let (patience, role) = {
        let options = &shared.borrow().options;
        (options.patience, options.role)
    };
    let mut buffer = vec![0; READ];
    let mut ready: Option<Instant> = None;
    let mut has_spoken = false;
    let end = loop {
        // A downloader keeps the pace of its requests.
        let pause = guard.peer.peer.pause();
        let since = pause.map(|_| *ready.get_or_insert_with(Instant::now));
        let pause =
            pause.zip(since).map_or(Duration::ZERO, |(pause, since)| pause.saturating_sub(since.elapsed()));
        let spoken = if pause.is_zero() { guard.peer.speak(&shared.borrow().contents) } else { None };
        if let Some((messages, _)) = spoken {
            ready = None;
            let is_first = !std::mem::replace(&mut has_spoken, true);
            let disturber = guard.disturber.as_mut();
            let said = match is_first && stream.transport() == Transport::Utp {
                true => begin(&mut stream, messages, &line, &shared, disturber).await,
                false => say(&mut stream, messages, &line, &shared, disturber).await,
            };
            match said {
                Ok(true) => continue,
                Ok(false) => break PeerRunEnd::ByFarEnd,
                Err(_) => break PeerRunEnd::Reset,
            }
        }
        let is_over = role == ClientRole::Seeder && guard.peer.peer.is_over();
        let wait = match (role, guard.peer.peer.waits_for()) {
            _ if !pause.is_zero() => pause,
            _ if is_over => BEFORE_LEAVING,
            (ClientRole::Seeder, Some(Precondition::Choke)) => patience.max(UNCHOKE_PATIENCE),
            (ClientRole::Seeder, _) => patience.max(SEEDER_PATIENCE),
            (ClientRole::Downloader, _) => patience,
        };
        let read = timeout(wait, stream.read(&mut buffer));
        match read.await {
            Ok(Ok(0)) => {
                guard.peer.peer.hear_silence();
                break guard.garbled(recorded).unwrap_or(PeerRunEnd::ByClient);
            }
            Ok(Ok(count)) => {
                if !line.client_says(&shared, &buffer[..count]) {
                    break PeerRunEnd::ByFarEnd;
                }
                let heard = guard.peer.hear(&buffer[..count]);
                heard.keys.iter().for_each(|key| line.key(&shared, key));
                if !heard.send.is_empty() {
                    if !line.far_says(&shared, &heard.send) {
                        break PeerRunEnd::ByFarEnd;
                    }
                    if stream.write_all(&heard.send).await.is_err() {
                        break PeerRunEnd::Reset;
                    }
                }
                if let Some(end) = guard.garbled(recorded) {
                    break end;
                }
            }
            Ok(Err(_)) => {
                guard.peer.peer.hear_silence();
                break guard.garbled(recorded).unwrap_or(PeerRunEnd::Reset);
            }
            Err(_) if !pause.is_zero() => {}
            Err(_) if is_over => break PeerRunEnd::ByFarEnd,
            Err(_) => {
                guard.peer.peer.hear_silence();
                if let Some(end) = guard.garbled(recorded) {
                    break end;
                }
                guard.peer.peer.waive();
            }
        }
    };
    let closing = if end == PeerRunEnd::Reset { StreamClosing::Reset } else { StreamClosing::Finished };
    line.close(&shared, closing);
    guard.end = end;
}

/// Sends a handshake over uTP, in a packet without the messages that follow.
async fn begin(
    stream: &mut PeerStream,
    mut messages: Vec<Bytes>,
    line: &RecordedStream,
    shared: &Rc<RefCell<Shared>>,
    mut disturber: Option<&mut FaultInjector>,
) -> io::Result<bool> {
    let rest = messages.split_off(messages.len().min(1));
    if !say(stream, messages, line, shared, disturber.as_deref_mut()).await? {
        return Ok(false);
    }
    stream.pause();
    if rest.is_empty() { Ok(true) } else { say(stream, rest, line, shared, disturber).await }
}

/// Sends messages, disturbed where that is wanted; whether the connection goes on.
async fn say(
    stream: &mut PeerStream,
    messages: Vec<Bytes>,
    line: &RecordedStream,
    shared: &Rc<RefCell<Shared>>,
    disturber: Option<&mut FaultInjector>,
) -> io::Result<bool> {
    let acts = match disturber {
        Some(disturber) => disturber.put(messages),
        None => vec![Act::Write(messages.concat().into())],
    };
    let alone = acts.len() > 1;
    for act in acts {
        match act {
            Act::Write(bytes) => {
                if !line.far_says(shared, &bytes) {
                    return Ok(false);
                }
                stream.write_all(&bytes).await?;
                if alone {
                    // So that what is by itself is also read by itself, as far as the system lets it.
                    tokio::task::yield_now().await;
                }
            }
            Act::Pause(by) => sleep(by).await,
            Act::Close => return Ok(false),
        }
    }
    Ok(true)
}

/// Accounts for a connection even when it is cut off.
struct Guard {
    shared: Rc<RefCell<Shared>>,
    far: SocketAddr,
    connection: RunConnection,
    peer: PlayedConnection,
    end: PeerRunEnd,
    disturber: Option<FaultInjector>,
}

impl Guard {
    /// How the connection ends where the client's bytes are not BitTorrent.
    fn garbled(&self, recorded: (SocketAddr, StreamId)) -> Option<PeerRunEnd> {
        let why = self.peer.peer.garbled.clone()?;
        // The client may connect again in plaintext.
        self.shared.borrow_mut().give_back(recorded);
        Some(PeerRunEnd::Garbled(why))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut shared = self.shared.borrow_mut();
        if self.peer.is_clear_instead {
            let far = self.far;
            shared.remark(format!(
                "the client did not encrypt its connection to {far}, which the reference's client did"
            ));
        }
        for refusal in self.peer.peer.refusals() {
            shared.keep(Refusal { connection: Some(self.connection), ..refusal });
        }
        let play = PeerRun {
            far: self.far,
            connection: self.connection,
            // Usually the client connects again after such a connection.
            missed: if matches!(self.end, PeerRunEnd::Garbled(_)) {
                Vec::new()
            } else {
                self.peer.peer.finish()
            },
            end: self.end.clone(),
            disturbed: self.disturber.as_ref().map(FaultInjector::is_done),
        };
        if !matches!(play.end, PeerRunEnd::Garbled(_)) {
            shared.ended(play.far);
        }
        shared.disturbed |= play.disturbed == Some(true);
        shared.plays.push(play);
        shared.sign(|signs| signs.open = signs.open.saturating_sub(1));
    }
}

/// How long a seeder has to unchoke the recorded peer. Some decide every ten seconds (BEP 3, "choking").
const UNCHOKE_PATIENCE: Duration = Duration::from_secs(30);

/// How long a seeder has for another message.
const SEEDER_PATIENCE: Duration = Duration::from_secs(10);

/// How long a recorded peer that has everything stays.
const BEFORE_LEAVING: Duration = Duration::from_secs(1);
