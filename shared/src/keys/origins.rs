//! The web pages that may use a widget's key, as browsers name them: scheme, host and port.

use std::fmt;

use url::{Host, Url};

/// `https://example.com`, `http://localhost:3000`, or `https://*.example.com`: any host below that, and not itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginRule(String);

/// What can't be an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an origin is a scheme, a host and perhaps a port, such as https://www.example.com or http://localhost:3000, \
     without a path; https://*.example.com stands for all hosts below example.com"
)]
pub struct BadOrigin;

const ANY_BELOW: &str = "https://*.";

impl OriginRule {
    /// Reads a rule and brings it to the form in which browsers write origins.
    ///
    /// # Errors
    /// When it isn't one.
    pub fn new(raw: &str) -> Result<Self, BadOrigin> {
        let raw = raw.trim();
        let Some(below) = raw.strip_prefix(ANY_BELOW) else {
            return origin(raw).map(|url| Self(url.origin().ascii_serialization()));
        };
        let url = origin(&format!("https://{below}"))?;
        // All of a top-level domain is nobody's.
        match url.host() {
            Some(Host::Domain(host)) if host.contains('.') && !host.ends_with('.') => {}
            _ => return Err(BadOrigin),
        }
        let serialized = url.origin().ascii_serialization();
        let below = serialized.strip_prefix("https://").ok_or(BadOrigin)?;
        Ok(Self(format!("{ANY_BELOW}{below}")))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OriginRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An address without anything after the host and port.
fn origin(raw: &str) -> Result<Url, BadOrigin> {
    let url = Url::parse(raw).map_err(|_| BadOrigin)?;
    let bare = matches!(url.scheme(), "http" | "https")
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        && url.host_str().is_some_and(|host| !host.contains('*'));
    bare.then_some(url).ok_or(BadOrigin)
}

/// The rules that allow what a browser has sent as `Origin`: itself, and the wildcards above its host.
///
/// So that whether a rule allows an origin is whether it is among these, in the code as in SQL. Empty for what is no
/// origin, such as `null`.
#[must_use]
pub fn patterns(sent: &str) -> Vec<String> {
    let Ok(url) = origin(sent) else {
        return Vec::new();
    };
    let itself = url.origin().ascii_serialization();
    // "https://.example.com" is a URL, too.
    let has_empty_label = url
        .host_str()
        .is_some_and(|host| host.starts_with('.') || host.contains(".."));
    if itself != sent || has_empty_label {
        return Vec::new();
    }
    let mut patterns = vec![itself];
    if let ("https", Some(Host::Domain(host))) = (url.scheme(), url.host()) {
        let port = url
            .port()
            .map(|port| format!(":{port}"))
            .unwrap_or_default();
        let mut rest = host;
        while let Some((_, below)) = rest.split_once('.') {
            if below.contains('.') {
                patterns.push(format!("{ANY_BELOW}{below}{port}"));
            }
            rest = below;
        }
    }
    patterns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(rule: &str, sent: &str) -> bool {
        let rule = OriginRule::new(rule).unwrap();
        patterns(sent)
            .iter()
            .any(|pattern| pattern == rule.as_str())
    }

    #[test]
    fn an_origin_is_allowed_by_its_own_scheme_host_and_port_alone() {
        assert!(allows("https://Example.com/", "https://example.com"));
        assert!(allows("https://example.com:443", "https://example.com"));
        assert!(allows("http://localhost:3000", "http://localhost:3000"));
        assert!(allows(
            "https://bücher.example",
            "https://xn--bcher-kva.example"
        ));
        for sent in [
            "http://example.com",
            "https://example.com:8443",
            "https://www.example.com",
            "https://example.com.evil.org",
            "https://example.com/",
            "https://EXAMPLE.com",
            "https://user@example.com",
            "null",
            "",
        ] {
            assert!(!allows("https://example.com", sent), "{sent}");
        }
    }

    #[test]
    fn a_wildcard_allows_hosts_below_and_nothing_else() {
        let rule = "https://*.Example.com";
        for sent in ["https://www.example.com", "https://a.b.example.com"] {
            assert!(allows(rule, sent), "{sent}");
        }
        for sent in [
            "https://example.com",
            "https://evilexample.com",
            "http://www.example.com",
            "https://www.example.com:8443",
            "https://www.example.com.evil.org",
            "https://evil.org/.example.com",
            "https://.example.com",
        ] {
            assert!(!allows(rule, sent), "{sent}");
        }
        assert!(allows(
            "https://*.example.com:8443",
            "https://a.example.com:8443"
        ));
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for raw in [
            "*",
            "https://*",
            "https://*.com",
            "https://*.com.",
            "http://*.example.com",
            "https://www.*.com",
            "https://*.*.example.com",
            "https://*.10.0.0.1",
            "https://example.com/path",
            "https://example.com?x",
            "https://user:word@example.com",
            "ftp://example.com",
            "example.com",
            "null",
            "",
        ] {
            assert_eq!(OriginRule::new(raw), Err(BadOrigin), "{raw}");
        }
    }
}
