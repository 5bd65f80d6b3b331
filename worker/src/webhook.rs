//! The job that tells a webhook, signed as Standard Webhooks has it: <https://www.standardwebhooks.com>.
//!
//! A delivery may arrive twice, as when a worker dies between the receiver's answer and our note of it: both have the
//! same `webhook-id`, and nothing that a sender can do is better.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use chrono::Utc;
use hmac::{Hmac, Mac};
use lectern_shared::{
    failure::Failure,
    metrics,
    store::{
        jobs::Claimed,
        webhooks::{self, Delivery},
    },
    webhooks::Policy,
};
use reqwest::{
    Client, StatusCode,
    dns::{Name, Resolve, Resolving},
    redirect,
};
use sha2::Sha256;

use crate::{context::Context, error::JobError};

pub(crate) async fn deliver(context: &Context, job: &Claimed) -> Result<(), JobError> {
    let Some(delivery) = webhooks::to_deliver(&context.pool, job).await? else {
        return Ok(());
    };
    let answer = context.courier.send(&delivery).await;
    let status = match &answer {
        Ok(status) => Some(*status),
        Err(refusal) => refusal.status,
    };
    ::metrics::counter!(metrics::WEBHOOK_ANSWERS, "answer" => class(status)).increment(1);
    let number = status.map(|status| status.as_u16());
    if !webhooks::note_answer(&context.pool, job, number, answer.is_ok()).await? {
        return Err(JobError::LeaseLost);
    }
    answer
        .map(drop)
        .map_err(|Refusal { failure, cause, .. }| JobError::Transient { failure, cause })
}

fn class(status: Option<StatusCode>) -> &'static str {
    match status.map(|status| status.as_u16() / 100) {
        Some(2) => "2xx",
        Some(3) => "3xx",
        Some(4) => "4xx",
        Some(_) => "5xx",
        None => "none",
    }
}

/// Why a delivery was not taken.
struct Refusal {
    failure: Failure,
    cause: anyhow::Error,
    status: Option<StatusCode>,
}

impl Refusal {
    fn new(failure: Failure, cause: anyhow::Error) -> Self {
        Self {
            failure,
            cause,
            status: None,
        }
    }
}

/// Sends deliveries, and nowhere but where webhooks may lead.
pub(crate) struct Courier {
    client: Client,
    policy: Policy,
}

impl Courier {
    /// # Errors
    /// When there is no TLS.
    pub(crate) fn new(policy: Policy, timeout: Duration) -> anyhow::Result<Self> {
        let client = Client::builder()
            .user_agent(concat!("Lectern/", env!("CARGO_PKG_VERSION")))
            .timeout(timeout)
            // What it leads to was not checked.
            .redirect(redirect::Policy::none())
            // A proxy would resolve names itself.
            .no_proxy()
            .dns_resolver(Arc::new(CheckedResolver(policy)))
            // Each delivery is one connection to one checked address.
            .pool_max_idle_per_host(0)
            .build()
            .context("no client for webhooks")?;
        Ok(Self { client, policy })
    }

    /// Sends a delivery once. Of the answer only the status is looked at.
    async fn send(&self, delivery: &Delivery) -> Result<StatusCode, Refusal> {
        // Settings may have become stricter since it was made; and an address in the URL is resolved by nobody.
        let url = self
            .policy
            .check(&delivery.url)
            .map_err(|bad| Refusal::new(Failure::WebhookAddress, anyhow!("{bad:?}")))?;
        let (id, timestamp) = (delivery.id.to_string(), Utc::now().timestamp().to_string());
        let signature = sign(&delivery.secret, &id, &timestamp, &delivery.body);
        let answer = self
            .client
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .body(delivery.body.clone())
            .send()
            .await
            // URLs may carry secrets, and this goes to the log.
            .map_err(|error| unsent(error.without_url()))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(status);
        }
        Err(Refusal {
            failure: Failure::WebhookRefused,
            cause: anyhow!("the receiver has answered {}", status.as_u16()),
            status: Some(status),
        })
    }
}

fn unsent(error: reqwest::Error) -> Refusal {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(cause) = source {
        if cause.is::<PrivateAddress>() {
            return Refusal::new(Failure::WebhookAddress, error.into());
        }
        source = cause.source();
    }
    Refusal::new(Failure::WebhookUnreachable, error.into())
}

/// `webhook-signature`: HMAC-SHA256 of id, time and body.
fn sign(secret: &[u8], id: &str, timestamp: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()))
}

/// Resolves a name, and fails if any of its addresses is one that no webhook may lead to.
///
/// The connection goes to what is returned here: a name that means something else a moment later changes nothing.
struct CheckedResolver(Policy);

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.0;
        Box::pin(async move {
            // The port is put in by the caller.
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if found.is_empty() {
                return Err(io::Error::from(io::ErrorKind::NotFound).into());
            }
            if found.iter().any(|address| !policy.allows(address.ip())) {
                return Err(PrivateAddress.into());
            }
            Ok(Box::new(found.into_iter()) as Box<dyn Iterator<Item = SocketAddr> + Send>)
        })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the name has an address that webhooks may not lead to")]
struct PrivateAddress;

#[cfg(test)]
mod tests {
    use lectern_shared::ids::DeliveryId;

    use super::*;

    fn delivery(url: &str) -> Delivery {
        Delivery {
            id: DeliveryId::fresh(),
            url: url.to_owned(),
            secret: vec![7; 32],
            body: "{}".to_owned(),
        }
    }

    /// `localhost.localdomain` and the like: names that the machine itself resolves.
    fn own_names() -> impl Iterator<Item = String> {
        let hosts = std::fs::read_to_string("/etc/hosts").unwrap();
        let lines: Vec<String> = hosts.lines().map(str::to_owned).collect();
        lines.into_iter().filter_map(|line| {
            let mut words = line.split('#').next()?.split_whitespace();
            let address: std::net::IpAddr = words.next()?.parse().ok()?;
            let is_private = !Policy::default().allows(address);
            words.find(|_| is_private).map(str::to_owned)
        })
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_a_private_address_is_not_connected_to() {
        let names: Vec<String> = own_names().collect();
        assert!(!names.is_empty(), "this machine has no name for itself");
        for name in names {
            let resolver = CheckedResolver(Policy::default());
            let client = Client::builder()
                .no_proxy()
                .dns_resolver(Arc::new(resolver))
                .build()
                .unwrap();
            // Nobody listens there: were it connected to, the failure would be another one.
            let error = client
                .get(format!("http://{name}:9/"))
                .send()
                .await
                .unwrap_err();
            assert_eq!(unsent(error).failure, Failure::WebhookAddress, "{name}");
        }
    }

    #[tokio::test]
    async fn an_address_that_was_stored_under_looser_settings_is_refused_at_each_delivery() {
        let courier = Courier::new(Policy::default(), Duration::from_secs(5)).unwrap();
        for url in ["https://127.0.0.1:9/", "http://example.org/"] {
            let refusal = courier.send(&delivery(url)).await.err().unwrap();
            assert_eq!(refusal.failure, Failure::WebhookAddress, "{url}");
        }
    }
}
