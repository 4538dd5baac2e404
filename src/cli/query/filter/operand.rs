//! The right side of a comparison, read once as what the left side's type makes of it.

use std::net::{IpAddr, SocketAddr};

use bittrace_protocol::Timestamp;
use bittrace_trace::record::Severity;
use regex_lite::Regex;

use super::Operator;
use crate::print::units::parse_rfc3339;

/// A value as written, and what it means as a number, an address, a network, a moment, a severity, a pattern.
#[derive(Debug, Clone)]
pub(super) struct Operand {
    text: String,
    lower: String,
    number: Option<f64>,
    address: Option<IpAddr>,
    endpoint: Option<SocketAddr>,
    network: Option<(IpAddr, u32)>,
    moment: Option<Timestamp>,
    severity: Option<Severity>,
    pattern: Option<Regex>,
    /// Whether what begins with the text is equal to it.
    is_prefix: bool,
}

/// How large a compiled pattern may be, in bytes.
const PATTERN: usize = 256 * 1024;

impl Operand {
    /// Text, or a word; as a number, a moment, or a severity where it is such.
    pub(super) fn text(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            lower: text.to_lowercase(),
            number: text.parse().ok(),
            address: None,
            endpoint: None,
            network: None,
            moment: parse_rfc3339(text),
            severity: super::severity(text),
            pattern: None,
            is_prefix: false,
        }
    }

    pub(super) fn number(text: &str, number: f64) -> Self {
        Self { number: Some(number), ..Self::text(text) }
    }

    pub(super) fn moment(text: &str, moment: Timestamp) -> Self {
        Self { moment: Some(moment), ..Self::text(text) }
    }

    /// Text that is an address, an address with a port, or a network, if it can be read so.
    pub(super) fn address(text: &str) -> Self {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        Self {
            address: bare.parse().ok(),
            endpoint: text.parse().ok(),
            network: network(text),
            ..Self::text(text)
        }
    }

    /// The first hexadecimal digits of a hash.
    pub(super) fn prefix(digits: &str) -> Self {
        Self { is_prefix: true, ..Self::text(digits) }
    }

    /// A regular expression; case does not matter, as in Wireshark.
    pub(super) fn pattern(text: &str) -> Result<Self, regex_lite::Error> {
        let pattern =
            regex_lite::RegexBuilder::new(text).case_insensitive(true).size_limit(PATTERN).build()?;
        Ok(Self { pattern: Some(pattern), ..Self::text(text) })
    }

    pub(super) fn compare_number(&self, operator: Operator, number: f64) -> bool {
        match operator {
            Operator::Contains => return number.to_string().contains(&self.text),
            Operator::Matches => return self.compare_words(operator, &number.to_string()),
            _ => {}
        }
        let Some(wanted) = self.number else { return false };
        number.partial_cmp(&wanted).is_some_and(|ordering| operator.accepts(ordering))
    }

    pub(super) fn compare_time(&self, operator: Operator, at: Timestamp) -> bool {
        match self.moment {
            Some(moment) if operator != Operator::Contains => operator.accepts(at.cmp(&moment)),
            _ => self.compare_words(operator, &crate::print::units::rfc3339(at)),
        }
    }

    pub(super) fn compare_severity(&self, operator: Operator, severity: Severity) -> bool {
        match operator {
            Operator::Contains => self.compare_words(operator, severity.name()),
            _ => self.severity.is_some_and(|wanted| operator.accepts(severity.cmp(&wanted))),
        }
    }

    /// An address with its port: equal to itself, to its address alone, and to a network it lies in.
    pub(super) fn compare_end(&self, operator: Operator, at: SocketAddr) -> bool {
        match (operator, self.endpoint) {
            (Operator::Matches, _) => self.compare_words(operator, &at.to_string()),
            (Operator::Contains, Some(endpoint)) => at == endpoint,
            (_, Some(endpoint)) => operator.accepts(at.cmp(&endpoint)),
            (Operator::Contains, None) if self.network.is_none() && self.address.is_none() => {
                self.compare_words(operator, &at.to_string())
            }
            (_, None) => self.compare_address(operator, at.ip()),
        }
    }

    /// An address: equal to itself, and to a network it lies in.
    pub(super) fn compare_address(&self, operator: Operator, at: IpAddr) -> bool {
        if operator == Operator::Matches {
            return self.compare_words(operator, &at.to_string());
        }
        if let Some(network) = self.network {
            return matches!(operator, Operator::Equal | Operator::Contains) && within(at, network);
        }
        match (operator, self.address) {
            (Operator::Contains, Some(address)) => at.to_canonical() == address.to_canonical(),
            (_, Some(address)) => operator.accepts(at.to_canonical().cmp(&address.to_canonical())),
            (_, None) => self.compare_words(operator, &at.to_string()),
        }
    }

    pub(super) fn compare_text(&self, operator: Operator, text: &str) -> bool {
        if (self.address.is_some() || self.endpoint.is_some() || self.network.is_some())
            && operator != Operator::Matches
            && let Some(at) = endpoint(text)
        {
            return self.compare_end(operator, at);
        }
        self.compare_words(operator, text)
    }

    /// As text and nothing else.
    fn compare_words(&self, operator: Operator, text: &str) -> bool {
        match operator {
            Operator::Contains => text.to_lowercase().contains(&self.lower),
            Operator::Matches => self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(text)),
            Operator::Equal if self.is_prefix => {
                text.get(..self.lower.len()).is_some_and(|start| start.eq_ignore_ascii_case(&self.lower))
            }
            Operator::Equal if text.eq_ignore_ascii_case(&self.text) => true,
            _ => operator.accepts(text.cmp(&self.text)),
        }
    }
}

/// Bytes in hexadecimal digits, small, without the colons or blanks that may stand between bytes.
pub(super) fn hex_digits(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| *c != ':' && *c != ' ').collect();
    let is_hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| digits.to_ascii_lowercase())
}

/// Text that is an address, with a port or without.
fn endpoint(text: &str) -> Option<SocketAddr> {
    text.parse().ok().or_else(|| Some(SocketAddr::new(text.parse().ok()?, 0)))
}

pub(super) fn network(text: &str) -> Option<(IpAddr, u32)> {
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
