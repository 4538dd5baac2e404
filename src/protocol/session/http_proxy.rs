//! Proxies for announces over plain HTTP (RFC 9110, section 7.3.2; RFC 9112, section 3.2.2).

use std::fmt;
use std::sync::Arc;

/// A proxy that announces over plain HTTP go through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpProxy {
    /// Its host name or address.
    pub host: String,
    /// Its TCP port.
    pub port: u16,
    /// The value of the Proxy-Authorization header, where the proxy wants one.
    pub authorization: Option<String>,
}

impl fmt::Display for HttpProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Chooses the proxy for a tracker, by the tracker's URL without path and query (`http://host:port`).
///
/// The choice is the driver's, because the rules stand in its surroundings: in environment variables, as a rule. An error
/// says why the proxy for this tracker cannot be used; the tracker is not asked then, not even without a proxy.
#[derive(Clone, Default)]
pub struct ProxyChoice(Option<Arc<ChooseProxy>>);

type ChooseProxy = dyn Fn(&str) -> Result<Option<HttpProxy>, String> + Send + Sync;

impl ProxyChoice {
    /// No proxy for any tracker.
    pub const NONE: Self = Self(None);

    /// Chooses by this function.
    pub fn by(choose: impl Fn(&str) -> Result<Option<HttpProxy>, String> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(choose)))
    }

    /// The proxy for the tracker at this URL; `None` where the tracker is asked without one.
    ///
    /// # Errors
    /// Why the proxy cannot be used.
    pub fn of(&self, url: &str) -> Result<Option<HttpProxy>, String> {
        self.0.as_ref().map_or(Ok(None), |choose| choose(url))
    }
}

impl fmt::Debug for ProxyChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "ProxyChoice(by function)" } else { "ProxyChoice(none)" })
    }
}
