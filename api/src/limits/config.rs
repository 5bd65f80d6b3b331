//! The settings of limits and of how connections are held.

use std::{fmt, net::IpAddr, str::FromStr};

use axum::http::HeaderValue;
use clap::{ArgAction, Args, ValueEnum};
use ipnet::IpNet;
use url::Url;

/// How often somebody may ask.
#[derive(Args, Clone, Debug)]
pub struct LimitSettings {
    /// Whether requests are limited at all, beside what the process can hold
    #[arg(long, env = "LECTERN_RATE_LIMITS", default_value_t = true, action = ArgAction::Set)]
    pub rate_limits: bool,
    /// Requests with one key, but for questions, searches and uploads: `<requests>/<seconds, or s, m, h or d>`, or
    /// `off`; as many at once, and as many in the time
    #[arg(long, env = "LECTERN_LIMIT_KEY_REQUESTS", default_value = "6000/m")]
    pub limit_key_requests: Rate,
    /// Questions and searches with one key
    #[arg(long, env = "LECTERN_LIMIT_KEY_ASKS", default_value = "600/m")]
    pub limit_key_asks: Rate,
    /// Uploads with one key
    #[arg(long, env = "LECTERN_LIMIT_KEY_UPLOADS", default_value = "3000/m")]
    pub limit_key_uploads: Rate,
    /// Requests with one key of a widget, which everybody can read who sees the page that it is on
    #[arg(long, env = "LECTERN_LIMIT_WIDGET_REQUESTS", default_value = "600/m")]
    pub limit_widget_requests: Rate,
    /// Questions and searches with one key of a widget
    #[arg(long, env = "LECTERN_LIMIT_WIDGET_ASKS", default_value = "60/m")]
    pub limit_widget_asks: Rate,
    /// Requests with one key of a widget from one address, so that a visitor of the page doesn't take all of the others
    #[arg(
        long,
        env = "LECTERN_LIMIT_WIDGET_ADDRESS_REQUESTS",
        default_value = "200/m"
    )]
    pub limit_widget_address_requests: Rate,
    /// Questions with one key of a widget from one address
    #[arg(
        long,
        env = "LECTERN_LIMIT_WIDGET_ADDRESS_ASKS",
        default_value = "20/m"
    )]
    pub limit_widget_address_asks: Rate,
    /// Requests of one tenant, with all its keys
    #[arg(long, env = "LECTERN_LIMIT_TENANT_REQUESTS", default_value = "12000/m")]
    pub limit_tenant_requests: Rate,
    /// Questions and searches of one tenant
    #[arg(long, env = "LECTERN_LIMIT_TENANT_ASKS", default_value = "1200/m")]
    pub limit_tenant_asks: Rate,
    /// Uploads of one tenant
    #[arg(long, env = "LECTERN_LIMIT_TENANT_UPLOADS", default_value = "6000/m")]
    pub limit_tenant_uploads: Rate,
    /// Requests from one address (of IPv6: a /64)
    #[arg(
        long,
        env = "LECTERN_LIMIT_ADDRESS_REQUESTS",
        default_value = "12000/m"
    )]
    pub limit_address_requests: Rate,
    /// Questions and searches from one address
    #[arg(long, env = "LECTERN_LIMIT_ADDRESS_ASKS", default_value = "1200/m")]
    pub limit_address_asks: Rate,
    /// Uploads from one address
    #[arg(long, env = "LECTERN_LIMIT_ADDRESS_UPLOADS", default_value = "6000/m")]
    pub limit_address_uploads: Rate,
    /// Requests without a valid key from one address; more are told to wait, those with one go on
    #[arg(
        long,
        env = "LECTERN_LIMIT_ADDRESS_AUTH_FAILURES",
        default_value = "30/m"
    )]
    pub limit_address_auth_failures: Rate,
    /// Limits that refuse (503) while Redis is away, as `key_asks,widget_asks`; all others let everybody through
    #[arg(long, env = "LECTERN_LIMITS_CLOSED", default_value = "widget_asks")]
    pub limits_closed: List<Name>,
    /// How long Redis may take to count a request before it counts as away
    #[arg(long, env = "LECTERN_LIMITS_TIMEOUT_MS", default_value_t = 250)]
    pub limits_timeout_ms: u32,
    /// Open event streams of one key at one replica of the API, at the most
    #[arg(long, env = "LECTERN_STREAMS_KEY_MAX", default_value_t = 1000)]
    pub streams_key_max: usize,
    /// Open event streams of one key of a widget at one replica, at the most
    #[arg(long, env = "LECTERN_STREAMS_WIDGET_MAX", default_value_t = 200)]
    pub streams_widget_max: usize,
    /// Searches, chat completions, embeddings and tools of one key that are waited for at one replica, at the most
    #[arg(long, env = "LECTERN_WAITING_KEY_MAX", default_value_t = 64)]
    pub waiting_key_max: usize,
    /// How long event streams may go on after their key has been revoked or has expired
    #[arg(
        long,
        env = "LECTERN_STREAM_KEYS_SECONDS",
        default_value_t = 3,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub stream_keys_seconds: u32,
    /// Proxies before the API, as addresses or networks (`10.0.0.0/8,fd00::1`): what these say of where a request
    /// comes from is believed; nobody else is
    #[arg(long, env = "LECTERN_TRUSTED_PROXIES", default_value = "")]
    pub trusted_proxies: List<Network>,
    /// The header in which proxies say where a request comes from; others are not read
    #[arg(
        long,
        env = "LECTERN_FORWARDED_HEADER",
        default_value = "x-forwarded-for"
    )]
    pub forwarded_header: ForwardedHeader,
}

/// How connections and requests are held.
#[derive(Args, Clone, Debug)]
pub struct HttpSettings {
    /// Open connections, at the most; a few more are answered with 503, and the rest waits
    #[arg(long, env = "LECTERN_CONNECTIONS_MAX", default_value_t = 12_000)]
    pub connections_max: usize,
    /// Requests that are being answered, at the most, but for uploads, open streams and those that wait for a worker; more
    /// get 503
    #[arg(long, env = "LECTERN_REQUESTS_MAX", default_value_t = 512)]
    pub requests_max: usize,
    /// Searches, chat completions, embeddings and requests of /mcp that are being answered, at the most; more get 503
    #[arg(long, env = "LECTERN_WAITING_MAX", default_value_t = 512)]
    pub waiting_max: usize,
    /// Uploads that are being received, at the most; more get 503
    #[arg(long, env = "LECTERN_UPLOADS_MAX", default_value_t = 128)]
    pub uploads_max: usize,
    /// Bytes a second that an upload brings on the average, at the least, after a first `LECTERN_UPLOAD_PAUSE_SECONDS_MAX`; 0
    /// takes any
    #[arg(
        long,
        env = "LECTERN_UPLOAD_BYTES_PER_SECOND_MIN",
        default_value_t = 4096
    )]
    pub upload_bytes_per_second_min: u32,
    /// How long the head of a request may take, the time since the request before included
    #[arg(long, env = "LECTERN_HEAD_SECONDS_MAX", default_value_t = 30)]
    pub head_seconds_max: u32,
    /// How long a client may take no byte of a response before it is cut off
    #[arg(long, env = "LECTERN_RESPONSE_PAUSE_SECONDS_MAX", default_value_t = 30)]
    pub response_pause_seconds_max: u32,
    /// How long the response to a request with an `Idempotency-Key` is kept
    #[arg(long, env = "LECTERN_IDEMPOTENCY_SECONDS", default_value_t = 86_400)]
    pub idempotency_seconds: u32,
    /// Origins whose pages may read responses, as `https://example.org`, or `*`; /mcp takes requests of no other page
    #[arg(long, env = "LECTERN_CORS_ORIGINS", default_value = "")]
    pub cors_origins: List<Origin>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ForwardedHeader {
    /// What most proxies set
    XForwardedFor,
    /// RFC 7239
    Forwarded,
}

/// So many at once, and so many in the time; or any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(pub Option<Quantity>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantity {
    pub count: u32,
    pub seconds: u32,
}

impl Quantity {
    pub(crate) fn per_minute(count: u32) -> Self {
        Self { count, seconds: 60 }
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(raw: &str) -> Result<Self, String> {
        if raw == "off" {
            return Ok(Self(None));
        }
        let help = || {
            format!(
                "`{raw}` is no limit: write it as 60/m (per minute; also s, h, d, or seconds as 60/10s), or off"
            )
        };
        let (count, per) = raw.split_once('/').ok_or_else(help)?;
        let count: u32 = count.parse().map_err(|_| help())?;
        let digits = per.trim_end_matches(['s', 'm', 'h', 'd']);
        let unit = match &per[digits.len()..] {
            "" if !digits.is_empty() => 1,
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return Err(help()),
        };
        let number: u32 = if digits.is_empty() {
            1
        } else {
            digits.parse().map_err(|_| help())?
        };
        let seconds = number.checked_mul(unit).ok_or_else(help)?;
        // Finer than a microsecond apart they can't be told apart, and a limit of more than a day is a quota.
        let fits = (1..=86_400).contains(&seconds) && (1..=1_000_000).contains(&count);
        fits.then_some(Self(Some(Quantity { count, seconds })))
            .ok_or_else(help)
    }
}

macro_rules! names {
    ($($variant:ident = $name:literal;)*) => {
        /// Each limit, as settings, metrics and refusals call it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Name {
            $($variant,)*
        }

        impl Name {
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),*];

            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

names! {
    KeyRequests = "key_requests";
    KeyAsks = "key_asks";
    KeyUploads = "key_uploads";
    WidgetRequests = "widget_requests";
    WidgetAsks = "widget_asks";
    WidgetAddressRequests = "widget_address_requests";
    WidgetAddressAsks = "widget_address_asks";
    TenantRequests = "tenant_requests";
    TenantAsks = "tenant_asks";
    TenantUploads = "tenant_uploads";
    AddressRequests = "address_requests";
    AddressAsks = "address_asks";
    AddressUploads = "address_uploads";
    AddressAuthFailures = "address_auth_failures";
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(raw: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().copied();
        known
            .clone()
            .find(|name| name.as_str() == raw.trim())
            .ok_or_else(|| {
                let names: Vec<_> = known.map(Self::as_str).collect();
                format!("`{raw}` is no limit: it is one of {}", names.join(", "))
            })
    }
}

/// Values with commas between them.
#[derive(Clone, Debug)]
pub struct List<T>(pub Vec<T>);

impl<T: FromStr<Err = String>> FromStr for List<T> {
    type Err = String;

    fn from_str(raw: &str) -> Result<Self, String> {
        let values = raw.split(',').map(str::trim);
        let values = values.filter(|value| !value.is_empty()).map(str::parse);
        values.collect::<Result<_, _>>().map(Self)
    }
}

/// An address, or all that begin alike.
#[derive(Clone, Copy, Debug)]
pub struct Network(pub IpNet);

impl FromStr for Network {
    type Err = String;

    fn from_str(raw: &str) -> Result<Self, String> {
        let address = raw.parse::<IpAddr>().map(IpNet::from);
        raw.parse().or(address).map(Self).map_err(|_| {
            format!("`{raw}` is neither an address nor a network: write 10.0.0.1, 10.0.0.0/8 or fd00::/8")
        })
    }
}

/// As browsers write it: no path, no port that goes without saying.
#[derive(Clone, Debug)]
pub struct Origin(pub HeaderValue);

impl FromStr for Origin {
    type Err = String;

    fn from_str(raw: &str) -> Result<Self, String> {
        let is_origin = |url: Url| {
            let origin = url.origin();
            origin.is_tuple() && origin.ascii_serialization() == raw
        };
        if raw == "*" || Url::parse(raw).is_ok_and(is_origin) {
            let value = HeaderValue::from_str(raw);
            return value.map(Self).map_err(|error| error.to_string());
        }
        Err(format!(
            "`{raw}` is no origin: write it as https://example.org, or * for all"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_in_any_unit_and_nonsense_is_refused() {
        let rate = |raw: &str| {
            raw.parse::<Rate>()
                .map(|Rate(rate)| rate.map(|q| (q.count, q.seconds)))
        };
        assert_eq!(rate("off"), Ok(None));
        assert_eq!(rate("600/m"), Ok(Some((600, 60))));
        assert_eq!(rate("5/10s"), Ok(Some((5, 10))));
        assert_eq!(rate("5/10"), Ok(Some((5, 10))));
        assert_eq!(rate("1/d"), Ok(Some((1, 86_400))));
        for nonsense in [
            "",
            "5",
            "0/m",
            "5/",
            "5/w",
            "5/2d",
            "-1/m",
            "5/0s",
            "5/mm",
            "2000000/s",
        ] {
            assert!(rate(nonsense).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn proxies_are_addresses_or_networks() {
        let read = |raw: &str| raw.parse::<List<Network>>();
        let shown = |List(networks): List<Network>| {
            networks
                .iter()
                .map(|Network(network)| network.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            shown(read("10.0.0.1, fd00::/8").unwrap()),
            ["10.0.0.1/32", "fd00::/8"]
        );
        assert!(shown(read("").unwrap()).is_empty());
        assert!(read("proxy.internal").is_err());
    }

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        for right in ["https://example.org", "http://localhost:5173", "*"] {
            assert!(right.parse::<Origin>().is_ok(), "{right}");
        }
        for wrong in [
            "example.org",
            "https://example.org/",
            "https://example.org:443",
            "null",
            "",
        ] {
            assert!(wrong.parse::<Origin>().is_err(), "{wrong}");
        }
    }
}
