//! What is fetched through a library, because the bytes are encrypted: torrent files and trackers over https.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{Client, Response};

/// A client that follows redirects, and takes so long at most for a whole answer.
pub(crate) fn client(limit: Duration) -> reqwest::Result<Client> {
    // An application that has chosen another provider keeps it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .user_agent(concat!("bittrace/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(limit)
        .timeout(limit)
        .redirect(reqwest::redirect::Policy::limited(MAX_REDIRECTS))
        .build()
}

/// The body of an answer; `None` where it is longer than `limit`.
pub(crate) async fn body(mut answer: Response, limit: u64) -> reqwest::Result<Option<Bytes>> {
    if answer.content_length().is_some_and(|length| length > limit) {
        return Ok(None);
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await? {
        if (body.len() + chunk.len()) as u64 > limit {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body.freeze()))
}

/// The innermost cause, which says most.
pub(crate) fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

const MAX_REDIRECTS: usize = 10;
