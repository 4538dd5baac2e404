//! Announces and scrapes: what a client says to a tracker and what the tracker answers, over HTTP and UDP.

pub mod http;
pub mod udp;

/// Why a client announces outside its regular interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// The download has begun (BEP 3).
    Started,
    /// The download has just become complete (BEP 3).
    Completed,
    /// The client stops downloading and serving (BEP 3).
    Stopped,
    /// The client is a partial seed: it has all that it wants (BEP 21).
    Paused,
}

impl Event {
    /// The word for it in the query of an HTTP announce.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Completed => "completed",
            Self::Stopped => "stopped",
            Self::Paused => "paused",
        }
    }

    /// The event that `name` is the word for.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        [Self::Started, Self::Completed, Self::Stopped, Self::Paused]
            .into_iter()
            .find(|event| event.name().as_bytes() == name)
    }
}
