//! Which proxy the environment names for plain HTTP, by the rules that curl and most programs share.

use bittrace_protocol::session::{HttpProxy, ProxyChoice};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

/// The proxy of `http_proxy`, or else of `all_proxy`, for every host that `no_proxy` does not name. Each variable may be
/// spelled in capitals as well. In a CGI program none is used, for there a caller sets `HTTP_PROXY`.
pub fn proxies_of_environment() -> ProxyChoice {
    choice(Matcher::from_env())
}

fn choice(rules: Matcher) -> ProxyChoice {
    ProxyChoice::by(move |url| {
        let found = url.parse().ok().and_then(|uri| rules.intercept(&uri));
        found.map(|found| proxy(&found)).transpose()
    })
}

fn proxy(found: &Intercept) -> Result<HttpProxy, String> {
    let place = found.uri();
    let scheme = place.scheme_str().unwrap_or("http");
    let host = place.host().unwrap_or_default();
    if scheme != "http" || host.is_empty() {
        // Not the whole of it: it may have a password.
        return Err(format!(
            "the proxy {scheme}://{host} cannot be used: expected a URL that begins with http://"
        ));
    }
    let basic = found.basic_auth().and_then(|value| value.to_str().ok());
    Ok(HttpProxy {
        host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        port: place.port_u16().unwrap_or(80),
        authorization: basic.map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(http: &str, no: &str, url: &str) -> Option<(String, Option<String>)> {
        let rules = Matcher::builder().http(http).no(no).build();
        choice(rules).of(url).unwrap().map(|proxy| (proxy.to_string(), proxy.authorization))
    }

    #[test]
    fn the_environment_names_a_proxy_and_who_needs_none() {
        let plain = |place: &str| Some((place.to_owned(), None));
        assert_eq!(chosen("http://p.test:3128", "", "http://t.test:6969"), plain("p.test:3128"));
        assert_eq!(chosen("p.test:3128", "", "http://[::1]:6969"), plain("p.test:3128"));
        assert_eq!(chosen("http://p.test", "", "http://t.test"), plain("p.test:80"));
        assert_eq!(chosen("http://[::1]:8080/", "", "http://t.test"), plain("::1:8080"));
        let told = Some("Basic dTpwIHc=".to_owned());
        assert_eq!(
            chosen("http://u:p%20w@p.test:1", "", "http://t.test"),
            Some(("p.test:1".to_owned(), told))
        );
        for none in ["t.test", ".test", "*", "a, t.test"] {
            assert_eq!(chosen("http://p.test:1", none, "http://t.test:6969"), None, "{none}");
        }
        assert_eq!(chosen("http://p.test:1", "10.0.0.0/8", "http://10.7.0.1:6969"), None);
        assert_eq!(chosen("http://p.test:1", "not.test", "http://t.test"), plain("p.test:1"));
        assert_eq!(chosen("", "", "http://t.test"), None);
    }

    #[test]
    fn a_proxy_that_speaks_something_else_is_refused() {
        for other in ["socks5://u:secret@p.test:1080", "https://p.test:443"] {
            let rules = Matcher::builder().http(other).build();
            let told = choice(rules).of("http://t.test").unwrap_err();
            assert!(!told.contains("secret"), "{told}");
            assert!(told.contains(other.split("//").next().unwrap()), "{told}");
        }
    }
}
