//! The replayed trackers on their sockets: each over HTTP and over UDP, on one port.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use bittrace_protocol::tracker::http::{Framing, frame_request};
use bittrace_trace::{Direction, Flow, StreamClosing, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use super::recorded_stream::RecordedStream;
use super::state::Shared;
use super::{AFTER_REFUSAL, READ};
use crate::model::transcript::Transcript;
use crate::play::refusal::RefusalAct;

/// The datagrams to a tracker.
pub(super) async fn serve_over_udp(
    place: usize,
    socket: UdpSocket,
    reference: Rc<Transcript>,
    shared: Rc<RefCell<Shared>>,
) {
    let Ok(own) = socket.local_addr() else { return };
    let mut buffer = vec![0; READ];
    loop {
        let Ok((count, client)) = socket.recv_from(&mut buffer).await else {
            // Where a client is gone, some systems say so here.
            sleep(AFTER_REFUSAL).await;
            continue;
        };
        let answer = Shared::answer_datagram(&shared, place, &buffer[..count], (client, own), &reference);
        if let Some(answer) = answer {
            // A datagram may be lost as well.
            let _ = socket.send_to(&answer, client).await;
        }
    }
}

/// The connections to a tracker over HTTP.
pub(super) async fn serve_over_http(
    place: usize,
    listener: TcpListener,
    reference: Rc<Transcript>,
    shared: Rc<RefCell<Shared>>,
) {
    loop {
        let Ok((stream, client)) = listener.accept().await else {
            // Usually too many are open: some will end.
            sleep(AFTER_REFUSAL).await;
            continue;
        };
        spawn_local(answer_client(place, stream, client, reference.clone(), shared.clone()));
    }
}

/// One connection to the tracker.
async fn answer_client(
    place: usize,
    mut stream: TcpStream,
    client: SocketAddr,
    reference: Rc<Transcript>,
    shared: Rc<RefCell<Shared>>,
) {
    let Ok(own) = stream.local_addr() else { return };
    if !shared.borrow_mut().takes_connection() {
        return;
    }
    let flow = Flow { initiator: client, responder: own };
    let line = RecordedStream::open(&shared, flow, Direction::FromInitiator, Transport::Tcp);
    let patience = shared.borrow().options.patience;
    let unanswered = |did, why: &str| {
        let mut shared = shared.borrow_mut();
        shared.asked.requests += 1;
        let nth = shared.asked.requests;
        shared.refuse(Some(line.connection()), "request", nth, did, why.to_owned());
    };
    let (mut asked, mut buffer, mut complained) = (Vec::new(), vec![0; READ], false);
    loop {
        match timeout(patience, stream.read(&mut buffer)).await {
            Err(_) => {
                if !asked.is_empty() && !std::mem::replace(&mut complained, true) {
                    unanswered(RefusalAct::LeftUnanswered, NO_END);
                }
                continue;
            }
            Ok(Ok(0) | Err(_)) => {
                if !asked.is_empty() && !complained {
                    unanswered(RefusalAct::LeftUnanswered, NO_END);
                }
                return line.close(&shared, StreamClosing::Finished);
            }
            Ok(Ok(count)) => {
                if !line.client_says(&shared, &buffer[..count]) {
                    return line.close(&shared, StreamClosing::Finished);
                }
                asked.extend_from_slice(&buffer[..count]);
            }
        }
        loop {
            match frame_request(&asked) {
                Framing::Complete(length) => {
                    let request: Vec<u8> = asked.drain(..length).collect();
                    let answer =
                        Shared::answer(&shared, place, &request, line.connection(), client, &reference);
                    if !line.far_says(&shared, &answer) {
                        return line.close(&shared, StreamClosing::Finished);
                    }
                    // An answer ends its connection, and its headers say so.
                    if stream.write_all(&answer).await.is_err() || stream.shutdown().await.is_err() {
                        return line.close(&shared, StreamClosing::Reset);
                    }
                }
                Framing::NotHttp(error) => {
                    unanswered(
                        RefusalAct::Closed,
                        &format!("it is not an HTTP request: wanted {}", error.wanted),
                    );
                    return line.close(&shared, StreamClosing::Finished);
                }
                Framing::Incomplete | Framing::UntilClose => break,
            }
        }
        if asked.len() > MOST_ASKED {
            unanswered(RefusalAct::Closed, "it is longer than 1 MiB");
            return line.close(&shared, StreamClosing::Finished);
        }
    }
}

/// Why a request that is not whole has no answer.
const NO_END: &str = "it is not whole: the headers of an HTTP request end with an empty line (CR LF CR LF)";

/// The longest request to a tracker.
const MOST_ASKED: usize = 1 << 20;
