//! The tracker of a run on a socket: that of the simulations, which answers alike.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bittrace_lab::Tracker;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// A tracker that is at work as long as the runtime is.
#[derive(Debug, Clone)]
pub(super) struct TrackerTask(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    tracker: Tracker,
    /// Whether it was taken down, and whether this is a time at which it fails.
    down: bool,
    failing: bool,
    /// The hosts that have announced.
    known: BTreeSet<IpAddr>,
}

impl TrackerTask {
    /// Has a tracker answer on this socket.
    pub(super) fn start(tracker: Tracker, listener: TcpListener) -> io::Result<Self> {
        let state = State { tracker, down: false, failing: false, known: BTreeSet::new() };
        let task = Self(Arc::new(Mutex::new(state)));
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let serving = task.clone();
        tokio::spawn(async move {
            loop {
                let Ok((stream, from)) = listener.accept().await else {
                    // Where the system has no socket left, a later caller may find one.
                    sleep(BETWEEN_TRIES).await;
                    continue;
                };
                let task = serving.clone();
                tokio::spawn(async move {
                    let _ = timeout(PATIENCE, task.serve(&stream, from.ip())).await;
                });
            }
        });
        Ok(task)
    }

    /// Takes the tracker down, or up again.
    pub(super) fn set_down(&self, down: bool) {
        self.state().down = down;
    }

    /// Says whether this is a time at which the tracker fails.
    pub(super) fn set_failing(&self, failing: bool) {
        self.state().failing = failing;
    }

    /// Whether a host has announced.
    pub(super) fn knows(&self, host: IpAddr) -> bool {
        self.state().known.contains(&host)
    }

    /// How many announces were answered.
    pub(super) fn announces(&self) -> u64 {
        self.state().tracker.announces
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(&self, stream: &TcpStream, from: IpAddr) -> io::Result<()> {
        let is_there = {
            let state = self.state();
            !state.down && !state.failing
        };
        if !is_there {
            return Ok(());
        }
        let mut request = Vec::new();
        while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < MOST_REQUEST {
            stream.readable().await?;
            let mut part = [0; 4096];
            match stream.try_read(&mut part) {
                Ok(0) => break,
                Ok(length) => request.extend_from_slice(&part[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        let answer = {
            let mut state = self.state();
            let before = state.tracker.announces;
            let answer = state.tracker.answer(from, &request);
            if state.tracker.announces > before {
                state.known.insert(from);
            }
            answer
        };
        let mut rest = &answer[..];
        while !rest.is_empty() {
            stream.writable().await?;
            match stream.try_write(rest) {
                Ok(length) => rest = &rest[length..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A request is not longer than this: clients of the run alone ask.
const MOST_REQUEST: usize = 16 * 1024;

/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long after a call that could not be taken the next one is.
const BETWEEN_TRIES: Duration = Duration::from_millis(50);
