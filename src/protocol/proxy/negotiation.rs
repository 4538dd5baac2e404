//! The whole negotiation of a client with a proxy, read off both directions as their bytes come.

use super::{MAX_CONNECT, ProxyPart, ProxyTarget};
use crate::Reader;
use crate::tracker::http::{Framing, frame_response};

/// A negotiation that the proxy granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiation {
    /// The client's messages, each with its length in bytes.
    pub client: Vec<(ProxyPart, usize)>,
    /// The proxy's messages, each with its length in bytes.
    pub proxy: Vec<(ProxyPart, usize)>,
    /// Where the proxy connected.
    pub target: ProxyTarget,
}

/// How far a negotiation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NegotiationProgress {
    /// More bytes are needed.
    Incomplete,
    /// These bytes are no negotiation for a connection, or the proxy refused.
    Other,
    /// It is over: what follows belongs to the ends.
    Granted(Negotiation),
}

/// How many CONNECT requests may be answered with a demand for credentials.
const REFUSALS: usize = 3;

/// Reads the negotiation that `client` and `proxy`, the bytes of both directions so far, begin with.
pub fn negotiation(client: &[u8], proxy: &[u8]) -> NegotiationProgress {
    let mut both = BothEnds { client: (client, Vec::new()), proxy: (proxy, Vec::new()), target: None };
    let end = match client.first() {
        None => Err(NegotiationStop::Incomplete),
        Some(4) => both.socks4(),
        Some(5) => both.socks5(),
        Some(b'C') => both.connect(),
        Some(_) => Err(NegotiationStop::Other),
    };
    match (end, both.target) {
        (Ok(()), Some(target)) => {
            NegotiationProgress::Granted(Negotiation { client: both.client.1, proxy: both.proxy.1, target })
        }
        (Err(NegotiationStop::Incomplete), _) => NegotiationProgress::Incomplete,
        (Ok(()) | Err(NegotiationStop::Other), _) => NegotiationProgress::Other,
    }
}

enum NegotiationStop {
    Incomplete,
    Other,
}

type EndMessages<'a> = (&'a [u8], Vec<(ProxyPart, usize)>);

struct BothEnds<'a> {
    client: EndMessages<'a>,
    proxy: EndMessages<'a>,
    target: Option<ProxyTarget>,
}

impl BothEnds<'_> {
    fn socks4(&mut self) -> Result<(), NegotiationStop> {
        self.asks(ProxyPart::Socks4Request)?;
        self.grants(ProxyPart::Socks4Reply)
    }

    fn socks5(&mut self) -> Result<(), NegotiationStop> {
        next(&mut self.client, ProxyPart::Socks5Greeting)?;
        match next(&mut self.proxy, ProxyPart::Socks5Method)? {
            [_, 0] => {}
            [_, 2] => {
                next(&mut self.client, ProxyPart::Socks5Authentication)?;
                self.grants(ProxyPart::Socks5AuthenticationReply)?;
            }
            _ => return Err(NegotiationStop::Other),
        }
        self.asks(ProxyPart::Socks5Request)?;
        self.grants(ProxyPart::Socks5Reply)
    }

    fn connect(&mut self) -> Result<(), NegotiationStop> {
        for _ in 0..=REFUSALS {
            self.asks(ProxyPart::ConnectRequest)?;
            let before = self.proxy.0;
            let response = next(&mut self.proxy, ProxyPart::ConnectResponse)?;
            if granted(ProxyPart::ConnectResponse, response) {
                return Ok(());
            }
            if !is_demand(response) {
                return Err(NegotiationStop::Other);
            }
            // A response that is not a success has a body (RFC 9110, section 9.3.6).
            let whole = match frame_response(before, false, false) {
                Framing::Complete(length) => length,
                Framing::Incomplete if before.len() <= MAX_CONNECT => {
                    return Err(NegotiationStop::Incomplete);
                }
                Framing::Incomplete | Framing::UntilClose | Framing::NotHttp(_) => {
                    return Err(NegotiationStop::Other);
                }
            };
            if whole > MAX_CONNECT {
                return Err(NegotiationStop::Other);
            }
            self.proxy.0 = &before[whole..];
            if let Some((_, length)) = self.proxy.1.last_mut() {
                *length = whole;
            }
        }
        Err(NegotiationStop::Other)
    }

    fn asks(&mut self, part: ProxyPart) -> Result<(), NegotiationStop> {
        let bytes = next(&mut self.client, part)?;
        self.target = part.target(bytes);
        Ok(())
    }

    fn grants(&mut self, part: ProxyPart) -> Result<(), NegotiationStop> {
        let bytes = next(&mut self.proxy, part)?;
        if granted(part, bytes) { Ok(()) } else { Err(NegotiationStop::Other) }
    }
}

fn next<'a>((bytes, parts): &mut EndMessages<'a>, part: ProxyPart) -> Result<&'a [u8], NegotiationStop> {
    match part.length(bytes) {
        Ok(Some(length)) => {
            let (message, rest) = bytes.split_at(length);
            *bytes = rest;
            parts.push((part, length));
            Ok(message)
        }
        Ok(None) => Err(NegotiationStop::Incomplete),
        Err(_) => Err(NegotiationStop::Other),
    }
}

fn granted(part: ProxyPart, bytes: &[u8]) -> bool {
    part.read(&mut Reader::new(bytes)).is_ok_and(|(_, meaning)| meaning.granted)
}

/// Whether a response demands credentials of the client: 407 Proxy Authentication Required.
fn is_demand(response: &[u8]) -> bool {
    let part = ProxyPart::ConnectResponse;
    part.read(&mut Reader::new(response)).is_ok_and(|(_, meaning)| meaning.status == 407)
}
