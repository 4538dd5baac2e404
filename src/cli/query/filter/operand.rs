//! The right side of a comparison, read once as everything it could mean.

use std::net::{IpAddr, SocketAddr};

use bittrace_protocol::Timestamp;
use bittrace_trace::record::Severity;

use super::Operator;
use crate::print::units::parse_rfc3339;

/// A value as written, and what it means as a number, an address, a network, a moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Operand {
    text: String,
    number: Option<f64>,
    address: Option<IpAddr>,
    endpoint: Option<SocketAddr>,
    network: Option<(IpAddr, u32)>,
    moment: Option<Timestamp>,
    severity: Option<Severity>,
}

impl Operand {
    pub(super) fn new(text: &str) -> Self {
        let hex = text.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        Self {
            number: hex.map(|number| number as f64).or_else(|| text.parse().ok()),
            address: bare.parse().ok(),
            endpoint: text.parse().ok(),
            network: network(text),
            moment: parse_rfc3339(text),
            severity: super::severity(text),
            text: text.to_owned(),
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) const fn is_number(&self) -> bool {
        self.number.is_some()
    }

    pub(super) fn compare_number(&self, operator: Operator, number: f64) -> bool {
        if operator == Operator::Contains {
            return number.to_string().contains(&self.text);
        }
        let Some(wanted) = self.number else { return false };
        number.partial_cmp(&wanted).is_some_and(|ordering| operator.accepts(ordering))
    }

    pub(super) fn compare_time(&self, operator: Operator, at: Timestamp) -> bool {
        match self.moment {
            Some(moment) => operator.accepts(at.cmp(&moment)),
            None => self.compare_text(operator, &crate::print::units::rfc3339(at)),
        }
    }

    pub(super) fn compare_severity(&self, operator: Operator, severity: Severity) -> bool {
        self.severity.is_some_and(|wanted| operator.accepts(severity.cmp(&wanted)))
    }

    /// An address with its port: equal to itself, to its address alone, and to a network it lies in.
    pub(super) fn compare_address(&self, operator: Operator, at: SocketAddr) -> bool {
        if let Some(network) = self.network {
            return matches!(operator, Operator::Equal | Operator::Contains) && within(at.ip(), network);
        }
        match (operator, self.endpoint, self.address) {
            (Operator::Contains, Some(endpoint), _) => at == endpoint,
            (Operator::Contains, _, Some(address)) => at.ip().to_canonical() == address.to_canonical(),
            (Operator::Contains, ..) => self.contained_in(&at.to_string()),
            (_, Some(endpoint), _) => operator.accepts(at.cmp(&endpoint)),
            (_, _, Some(address)) => operator.accepts(at.ip().to_canonical().cmp(&address.to_canonical())),
            (..) => self.compare_words(operator, &at.to_string()),
        }
    }

    pub(super) fn compare_text(&self, operator: Operator, text: &str) -> bool {
        if (self.address.is_some() || self.endpoint.is_some() || self.network.is_some())
            && let Some(at) = endpoint(text)
        {
            return self.compare_address(operator, at);
        }
        self.compare_words(operator, text)
    }

    /// As text and nothing else.
    fn compare_words(&self, operator: Operator, text: &str) -> bool {
        match operator {
            Operator::Contains => self.contained_in(text),
            Operator::Equal if text.eq_ignore_ascii_case(&self.text) => true,
            _ => operator.accepts(text.cmp(&self.text)),
        }
    }

    fn contained_in(&self, text: &str) -> bool {
        text.to_lowercase().contains(&self.text.to_lowercase())
    }
}

/// Text that is an address, with a port or without.
fn endpoint(text: &str) -> Option<SocketAddr> {
    text.parse().ok().or_else(|| Some(SocketAddr::new(text.parse().ok()?, 0)))
}

fn network(text: &str) -> Option<(IpAddr, u32)> {
    let (address, length) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let length: u32 = length.parse().ok()?;
    (length <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, length))
}

fn within(address: IpAddr, (network, length): (IpAddr, u32)) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
        IpAddr::V6(address) => u128::from(address),
    };
    let address = address.to_canonical();
    let network = network.to_canonical();
    let differing = bits(address) ^ bits(network);
    address.is_ipv4() == network.is_ipv4() && (length == 0 || differing >> (128 - length) == 0)
}
