//! Requests to the API: the key, the refusals, and what is asked again.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, header};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::{
    config::Common,
    error::{Error, Problem, Result},
    profile::Profile,
};

#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: Url,
    key: Option<String>,
    /// How long the server may be silent.
    pub(crate) patience: Duration,
    retries_max: u32,
}

/// How long somebody who waits at a terminal for one answer is kept waiting by a server that says when to come back.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// How long an upload waits at the most, whatever the server says.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(120);

impl Client {
    pub(crate) fn new(profile: &Profile, common: &Common) -> Result<Self> {
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .user_agent(concat!("lectern/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::local(error, "Check the system's certificates."))?;
        Ok(Self {
            http,
            url: profile.url.clone(),
            key: profile.key.clone(),
            patience: Duration::from_secs(common.patience_seconds.into()),
            retries_max: common.retries_max,
        })
    }

    pub(crate) fn with_key(&self, url: Url, key: Option<String>) -> Self {
        Self {
            url,
            key,
            ..self.clone()
        }
    }

    pub(crate) fn url(&self) -> &str {
        self.url.as_str()
    }

    /// `path` begins behind `/api/v1`. Its parts are encoded, so that a name can't lead elsewhere.
    pub(crate) fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        self.request_with(method, path, &[])
    }

    fn request_with(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
    ) -> RequestBuilder {
        let mut url = self.url.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.http.request(method, url);
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// Asks for something and reads it.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<T> {
        let request = self.request_with(Method::GET, path, query);
        self.read(self.send(request).await?).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &[&str], body: &Value) -> Result<T> {
        let request = self.request(Method::POST, path).json(body);
        self.read(self.send(request).await?).await
    }

    pub(crate) async fn delete(&self, path: &[&str]) -> Result<()> {
        self.send(self.request(Method::DELETE, path))
            .await
            .map(drop)
    }

    /// Sends what has an end, and waits as long as a server asks for it that is busy.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response> {
        let mut request = request.timeout(self.patience);
        for _ in 0..self.retries_max {
            let Some(again) = request.try_clone() else {
                break;
            };
            let response = request.send().await;
            request = again;
            match response.as_ref().ok().and_then(retry_after) {
                Some(wait) if wait <= WAIT_MAX => tokio::time::sleep(wait).await,
                _ => return self.accept(response).await,
            }
        }
        self.accept(request.send().await).await
    }

    /// The response, unless it is a refusal or didn't come.
    pub(crate) async fn accept(&self, sent: reqwest::Result<Response>) -> Result<Response> {
        let response = sent.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let wait = retry_after(&response);
        let body = response.bytes().await.unwrap_or_default();
        let Ok(mut problem) = serde_json::from_slice::<Problem>(&body) else {
            if status.is_server_error() {
                return Err(Error::Unreachable {
                    url: self.url.to_string(),
                    cause: status.to_string(),
                });
            }
            return Err(Error::Strange {
                url: self.url.to_string(),
                cause: status.to_string(),
            });
        };
        problem.status = status.as_u16();
        problem.retry_after = wait;
        Err(Error::Problem(problem))
    }

    pub(crate) async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T> {
        let body = response
            .bytes()
            .await
            .map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&body).map_err(|error| self.strange(&error))
    }

    pub(crate) fn strange(&self, cause: &impl std::fmt::Display) -> Error {
        Error::Strange {
            url: self.url.to_string(),
            cause: cause.to_string(),
        }
    }

    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> Error {
        // The innermost cause is the one that says something.
        let mut cause: &dyn std::error::Error = error;
        while let Some(next) = cause.source() {
            cause = next;
        }
        let cause = if error.is_timeout() {
            format!("nothing came within {} s", self.patience.as_secs())
        } else {
            cause.to_string()
        };
        Error::Unreachable {
            url: self.url.to_string(),
            cause,
        }
    }

    /// How long to wait before the next try of something that may be tried often. `None`: trying again won't help, or
    /// it was tried often enough.
    pub(crate) fn wait_before_retry(&self, error: &Error, tried: u32) -> Option<Duration> {
        let again = match error {
            Error::Unreachable { .. } => true,
            Error::Problem(problem) => matches!(problem.status, 408 | 429 | 502..=504),
            _ => false,
        };
        (again && tried < self.retries_max).then(|| {
            let wait = Duration::from_millis(500 << tried.min(6)).min(Duration::from_secs(30));
            match error {
                Error::Problem(Problem {
                    retry_after: Some(wanted),
                    ..
                }) => wait.max(*wanted).min(RETRY_AFTER_MAX),
                _ => wait,
            }
        })
    }
}

/// When a server that is too busy wants to be asked again.
fn retry_after(response: &Response) -> Option<Duration> {
    if !matches!(response.status().as_u16(), 429 | 503) {
        return None;
    }
    let seconds = response.headers().get(header::RETRY_AFTER)?;
    let seconds = seconds.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
