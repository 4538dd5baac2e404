//! What is fetched through a library, because the bytes are encrypted: torrent files and trackers over https.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{Client, Response};

/// Where a redirect may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RedirectPolicy {
    /// To any place.
    Anywhere,
    /// To places over https alone: what is told must not be read on the way.
    HttpsOnly,
}

/// A client that follows redirects, and takes so long at most for a whole answer.
pub(crate) fn client(limit: Duration, redirects: RedirectPolicy) -> reqwest::Result<Client> {
    // An application that has chosen another provider keeps it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .user_agent(concat!("bittrace/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(limit)
        .timeout(limit)
        .redirect(reqwest::redirect::Policy::custom(move |attempt| {
            if attempt.previous().len() > MAX_REDIRECTS {
                attempt.error(format!("more than {MAX_REDIRECTS} redirects"))
            } else if redirects == RedirectPolicy::HttpsOnly && attempt.url().scheme() != "https" {
                let place = attempt.url().clone();
                attempt.error(format!("it redirects from https to {place}, which is not encrypted"))
            } else {
                attempt.follow()
            }
        }))
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
