//! Where a request comes from.
//!
//! Anybody can write `X-Forwarded-For`. It is read from its end, which the nearest proxy wrote, and only as long as
//! whoever is said to have written it is a proxy that the settings name.

use std::{
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering},
};

use axum::http::{HeaderMap, HeaderName, header};
use ipnet::{IpNet, Ipv6Net};
use tracing::warn;

use super::config::{ForwardedHeader, LimitSettings, List, Network};

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The other end of the connection, as an extension of each request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Whose requests count together: an IPv4 address, or the /64 that one customer of a provider has at the least.
pub(crate) fn client(peer: IpAddr, headers: &HeaderMap, settings: &LimitSettings) -> IpNet {
    let trusted = |address: IpAddr| {
        let List(networks) = &settings.trusted_proxies;
        let mut networks = networks.iter();
        networks.any(|Network(network)| network.contains(&address))
    };
    let mut client = peer.to_canonical();
    let mut said = forwarded(headers, settings.forwarded_header);
    if !trusted(client) && !said.is_empty() {
        warn_once(client);
    }
    while trusted(client) {
        // What isn't an address ends the chain: what stands before it could be anybody's.
        let Some(Some(before)) = said.pop() else {
            break;
        };
        client = before;
    }
    match client {
        IpAddr::V4(_) => client.into(),
        IpAddr::V6(address) => Ipv6Net::new_assert(address, 64).trunc().into(),
    }
}

/// The addresses in the order in which the request passed them; `None` for what is none, as `unknown`.
fn forwarded(headers: &HeaderMap, header: ForwardedHeader) -> Vec<Option<IpAddr>> {
    let name = match header {
        ForwardedHeader::XForwardedFor => &X_FORWARDED_FOR,
        ForwardedHeader::Forwarded => &header::FORWARDED,
    };
    let elements = headers
        .get_all(name)
        .iter()
        // A value that isn't text is no address, but must not vanish from the chain either.
        .flat_map(|value| value.to_str().unwrap_or_default().split(','));
    let address = |element: &str| match header {
        ForwardedHeader::XForwardedFor => address(element),
        ForwardedHeader::Forwarded => address(node(element)?),
    };
    elements.map(address).collect()
}

/// The client in an element of `Forwarded`: `for="[2001:db8::1]:4711";proto=https`.
fn node(element: &str) -> Option<&str> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    Some(value.trim().trim_matches('"'))
}

/// With or without a port, IPv6 with or without brackets.
fn address(raw: &str) -> Option<IpAddr> {
    let raw = raw.trim();
    let bare = raw.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<IpAddr>();
    let address = address.or_else(|_| raw.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address| address.to_canonical())
}

fn warn_once(peer: IpAddr) {
    static WARNED: AtomicBool = AtomicBool::new(false);
    if !WARNED.swap(true, Ordering::Relaxed) {
        warn!(
            %peer,
            "requests come with a header of a proxy that LECTERN_TRUSTED_PROXIES doesn't name: if it is yours, name it, \
             or all that it forwards counts as one client"
        );
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        limits: LimitSettings,
    }

    fn seen(peer: &str, said: &[(&'static str, &str)], arguments: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in said {
            headers.append(*name, value.parse().unwrap());
        }
        let arguments = ["test"].iter().chain(arguments);
        let settings = Command::try_parse_from(arguments).unwrap().limits;
        client(peer.parse().unwrap(), &headers, &settings).to_string()
    }

    const PROXIES: &[&str] = &["--trusted-proxies=10.0.0.0/8,fd00::1"];

    #[test]
    fn what_a_stranger_says_of_where_it_comes_from_is_not_believed() {
        let said = [("x-forwarded-for", "203.0.113.7")];
        assert_eq!(seen("198.51.100.1", &said, &[]), "198.51.100.1/32");
        assert_eq!(seen("198.51.100.1", &said, PROXIES), "198.51.100.1/32");
    }

    #[test]
    fn only_what_trusted_proxies_have_added_is_believed_and_what_stood_there_before_is_not() {
        let chain = [("x-forwarded-for", "203.0.113.7, 198.51.100.9, 10.1.1.1")];
        assert_eq!(seen("10.0.0.2", &chain, PROXIES), "198.51.100.9/32");
        // In headers of their own, as some proxies add it.
        let lines = [
            ("x-forwarded-for", "203.0.113.7"),
            ("x-forwarded-for", "198.51.100.9"),
        ];
        assert_eq!(seen("10.0.0.2", &lines, PROXIES), "198.51.100.9/32");
        // An invented chain of proxies ends where the last real one has written.
        let invented = [("x-forwarded-for", "203.0.113.7, 10.9.9.9, 198.51.100.9")];
        assert_eq!(seen("10.0.0.2", &invented, PROXIES), "198.51.100.9/32");
    }

    #[test]
    fn what_is_no_address_ends_the_chain_at_the_proxy_that_said_it() {
        for nonsense in [
            "203.0.113.7, unknown",
            "203.0.113.7,",
            "203.0.113.7, \u{fc}",
            "1.2.3.4.5",
        ] {
            let said = [("x-forwarded-for", nonsense)];
            assert_eq!(
                seen("10.0.0.2", &said, PROXIES),
                "10.0.0.2/32",
                "{nonsense}"
            );
        }
    }

    #[test]
    fn the_header_that_the_proxy_does_not_set_is_not_read() {
        let said = [
            ("forwarded", "for=203.0.113.7"),
            ("x-forwarded-for", "198.51.100.9"),
        ];
        assert_eq!(seen("10.0.0.2", &said, PROXIES), "198.51.100.9/32");
        let forwarded = [PROXIES, &["--forwarded-header=forwarded"]].concat();
        assert_eq!(seen("10.0.0.2", &said, &forwarded), "203.0.113.7/32");
        let said = [(
            "forwarded",
            "For=203.0.113.7, by=10.0.0.3;for=\"[2001:db8:1:2:3:4:5:6]:4711\";proto=https",
        )];
        assert_eq!(seen("10.0.0.2", &said, &forwarded), "2001:db8:1:2::/64");
    }

    #[test]
    fn addresses_of_one_network_of_ipv6_count_together_and_ipv4_is_ipv4_in_any_clothes() {
        assert_eq!(seen("2001:db8:1:2::9", &[], &[]), "2001:db8:1:2::/64");
        assert_eq!(seen("::ffff:198.51.100.1", &[], &[]), "198.51.100.1/32");
        let said = [("x-forwarded-for", "::ffff:203.0.113.7, 198.51.100.9:4711")];
        assert_eq!(seen("fd00::1", &said, PROXIES), "198.51.100.9/32");
        let said = [("x-forwarded-for", "::ffff:203.0.113.7")];
        assert_eq!(seen("::ffff:10.0.0.2", &said, PROXIES), "203.0.113.7/32");
    }
}
