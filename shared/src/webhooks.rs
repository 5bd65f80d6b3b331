//! What webhooks are told, and where they may lead.
//!
//! A URL is written by whoever has a key, and requested by a worker that stands inside somebody's network: so it may
//! lead only to addresses that the whole internet reaches. The API refuses what can be told from the URL; the worker
//! checks every address that a name resolves to, at each attempt, and connects to no other.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::LazyLock,
};

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::{failure::FailureReport, ids::DocumentId};

/// What a webhook can be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = WebhookEvent))]
pub enum Event {
    #[serde(rename = "document.ready")]
    DocumentReady,
    #[serde(rename = "document.failed")]
    DocumentFailed,
}

impl Event {
    pub const ALL: [Self; 2] = [Self::DocumentReady, Self::DocumentFailed];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DocumentReady => "document.ready",
            Self::DocumentFailed => "document.failed",
        }
    }
}

/// What is sent: the form that Standard Webhooks recommends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Body {
    #[serde(rename = "type")]
    pub event: Event,
    /// When it happened.
    pub timestamp: DateTime<Utc>,
    pub data: BodyData,
}

/// The document, as it was then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BodyData {
    pub id: DocumentId,
    pub name: String,
    pub collection: String,
    /// `ready` or `failed`: of the newest version, whatever searches see.
    pub state: String,
    /// The version that searches see; 0: none.
    pub version: i32,
    pub failure: Option<FailureReport>,
}

impl Body {
    /// The bytes that are signed and sent.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("it has no maps, and so no keys that aren't strings")
    }
}

/// Where webhooks may lead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    pub allow_http: bool,
    pub allow_private: bool,
}

/// Why a URL is no webhook's, with the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    #[error("The field `url` is not a URL. Write one such as https://example.org/hook.")]
    NotAUrl,
    #[error("A webhook's URL begins with https://. Use that, or set LECTERN_WEBHOOK_ALLOW_HTTP.")]
    Scheme,
    #[error(
        "A webhook's URL carries no user and no password: deliveries are signed instead. Take them out."
    )]
    Credentials,
    #[error("A webhook's URL has {URL_CHARS_MAX} characters at the most. Use a shorter one.")]
    TooLong,
    #[error(
        "This URL leads to an address inside a private network. Use a public one, or set \
         LECTERN_WEBHOOK_ALLOW_PRIVATE."
    )]
    Private,
}

const URL_CHARS_MAX: usize = 2000;

impl Policy {
    /// Checks what can be told from a URL alone.
    ///
    /// # Errors
    /// When no webhook may lead there.
    pub fn check(self, raw: &str) -> Result<Url, BadTarget> {
        if raw.chars().count() > URL_CHARS_MAX {
            return Err(BadTarget::TooLong);
        }
        let mut url = Url::parse(raw).map_err(|_| BadTarget::NotAUrl)?;
        match url.scheme() {
            "https" => {}
            "http" if self.allow_http => {}
            _ => return Err(BadTarget::Scheme),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadTarget::Credentials);
        }
        let is_allowed = match url.host().ok_or(BadTarget::NotAUrl)? {
            Host::Ipv4(address) => self.allows(address.into()),
            Host::Ipv6(address) => self.allows(address.into()),
            // What its name means here is ours to know without asking (RFC 6761).
            Host::Domain(name) => {
                let name = name.trim_end_matches('.');
                self.allow_private || !(name == "localhost" || name.ends_with(".localhost"))
            }
        };
        if !is_allowed {
            return Err(BadTarget::Private);
        }
        url.set_fragment(None);
        Ok(url)
    }

    /// Whether a request may go to this address.
    #[must_use]
    pub fn allows(self, address: IpAddr) -> bool {
        self.allow_private || is_public(address)
    }
}

/// What of IPv4 is special: IANA's registry of special-purpose addresses, with multicast and what is reserved. <https://www.iana.org/assignments/iana-ipv4-special-registry>
static SPECIAL_V4: LazyLock<Vec<IpNet>> = LazyLock::new(|| {
    networks(&[
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    ])
});

/// The only part of IPv6 that is given out to hosts on the internet.
///
/// What lies outside is loopback, link-local, unique-local, multicast, or carries an IPv4 address through a translator
/// (`64:ff9b::/96`).
static GLOBAL_V6: LazyLock<Vec<IpNet>> = LazyLock::new(|| networks(&["2000::/3"]));

/// What of that is special nevertheless: protocols' own addresses with Teredo, documentation, 6to4, AS112.
/// <https://www.iana.org/assignments/iana-ipv6-special-registry>
static SPECIAL_V6: LazyLock<Vec<IpNet>> = LazyLock::new(|| {
    networks(&[
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "2620:4f:8000::/48",
        "3fff::/20",
    ])
});

fn networks(texts: &[&str]) -> Vec<IpNet> {
    let parse = |text: &&str| {
        text.parse()
            .expect("they stand here, and a test reads them")
    };
    texts.iter().map(parse).collect()
}

/// Whether the whole internet means the same host by this address.
fn is_public(address: IpAddr) -> bool {
    // An IPv4 address written as one of IPv6 is connected to as IPv4.
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !within(&SPECIAL_V4, address.into())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    within(&GLOBAL_V6, address.into()) && !within(&SPECIAL_V6, address.into())
}

fn within(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: Policy = Policy {
        allow_http: false,
        allow_private: false,
    };

    #[test]
    fn only_addresses_that_the_whole_internet_reaches_are_allowed() {
        for public in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
        ] {
            assert!(STRICT.allows(public.parse().unwrap()), "{public}");
        }
        for private in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!STRICT.allows(private.parse().unwrap()), "{private}");
        }
    }

    #[test]
    fn a_url_is_refused_for_what_can_be_told_from_it() {
        let refused = [
            ("example.org/hook", BadTarget::NotAUrl),
            ("https://", BadTarget::NotAUrl),
            ("http://example.org/hook", BadTarget::Scheme),
            ("file:///etc/passwd", BadTarget::Scheme),
            ("gopher://example.org", BadTarget::Scheme),
            ("https://user:secret@example.org", BadTarget::Credentials),
            ("https://127.0.0.1/hook", BadTarget::Private),
            // The ways to write an address that a careless check overlooks.
            ("https://2130706433/", BadTarget::Private),
            ("https://0x7f.1/", BadTarget::Private),
            ("https://0177.0.0.1/", BadTarget::Private),
            ("https://127.1/", BadTarget::Private),
            ("https://[::1]/", BadTarget::Private),
            ("https://[::ffff:7f00:1]/", BadTarget::Private),
            ("https://169.254.169.254/latest", BadTarget::Private),
            ("https://localhost/", BadTarget::Private),
            ("https://LOCALHOST./", BadTarget::Private),
            ("https://db.localhost:8443/", BadTarget::Private),
        ];
        for (url, why) in refused {
            assert_eq!(STRICT.check(url), Err(why), "{url}");
        }
        let long = format!("https://example.org/{}", "x".repeat(2000));
        assert_eq!(STRICT.check(&long), Err(BadTarget::TooLong));
        let taken = STRICT
            .check("https://example.org:8443/hook?a=b#part")
            .unwrap();
        assert_eq!(taken.as_str(), "https://example.org:8443/hook?a=b");
    }

    #[test]
    fn what_the_settings_allow_is_taken() {
        let loose = Policy {
            allow_http: true,
            allow_private: true,
        };
        assert!(loose.check("http://127.0.0.1:9/hook").is_ok());
        assert!(loose.check("http://localhost/hook").is_ok());
        assert_eq!(loose.check("ftp://localhost/"), Err(BadTarget::Scheme));
    }
}
