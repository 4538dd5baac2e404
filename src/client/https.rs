//! Torrent files at URLs, which are fetched through a library: no part of a run, and not recorded.

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

const MAX_REDIRECTS: usize = 10;
