//! Event streams that go on where they broke off.

use std::pin::Pin;

use eventsource_stream::{Event, Eventsource};
use futures::{Stream, StreamExt};
use reqwest::{Method, Response, header};
use serde_json::Value;

use crate::{
    client::Client,
    error::{Error, Result},
};

/// An event, or why there is none.
type Item = std::result::Result<Event, String>;

/// What happens to a document or a question.
pub(crate) struct Events<'a> {
    client: &'a Client,
    /// Where to go on; known of a question as soon as it has an id.
    pub(crate) path: Vec<String>,
    stream: Option<Pin<Box<dyn Stream<Item = Item> + Send>>>,
    last_id: String,
    /// Connections that broke since the last event.
    broken: u32,
}

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) name: String,
    pub(crate) data: Value,
}

impl<'a> Events<'a> {
    pub(crate) fn of_document(client: &'a Client, id: &str) -> Self {
        Self::at(client, &["documents", id, "events"])
    }

    pub(crate) fn at(client: &'a Client, path: &[&str]) -> Self {
        Self {
            client,
            path: path.iter().map(|&part| part.to_owned()).collect(),
            stream: None,
            last_id: String::new(),
            broken: 0,
        }
    }

    /// A stream that is open already.
    pub(crate) fn open(client: &'a Client, response: Response) -> Self {
        let mut events = Self::at(client, &[]);
        events.listen(response);
        events
    }

    fn listen(&mut self, response: Response) {
        let events = response.bytes_stream().eventsource();
        let events = events.map(|event| event.map_err(|error| error.to_string()));
        self.stream = Some(Box::pin(events));
    }

    /// The next event. A stream has an end, `done` or `failed`: nobody asks for more after it.
    pub(crate) async fn next(&mut self) -> Result<Told> {
        loop {
            let Some(stream) = &mut self.stream else {
                self.connect().await?;
                continue;
            };
            let cause = match tokio::time::timeout(self.client.patience, stream.next()).await {
                Ok(Some(Ok(event))) => {
                    self.broken = 0;
                    if !event.id.is_empty() {
                        self.last_id = event.id;
                    }
                    let data = serde_json::from_str(&event.data)
                        .map_err(|error| self.client.strange(&error))?;
                    return Ok(Told {
                        name: event.event,
                        data,
                    });
                }
                Ok(Some(Err(cause))) => cause,
                Ok(None) => "the stream broke off".to_owned(),
                Err(_) => "the stream went silent".to_owned(),
            };
            self.stream = None;
            let error = Error::Unreachable {
                url: self.client.url().to_owned(),
                cause,
            };
            self.pause(error).await?;
        }
    }

    async fn connect(&mut self) -> Result<()> {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let mut request = self
            .client
            .request(Method::GET, &path)
            .header(header::ACCEPT, "text/event-stream");
        if !self.last_id.is_empty() {
            request = request.header("last-event-id", &self.last_id);
        }
        let answered = match tokio::time::timeout(self.client.patience, request.send()).await {
            Ok(sent) => self.client.accept(sent).await,
            Err(_) => Err(Error::Unreachable {
                url: self.client.url().to_owned(),
                cause: "nothing came in time".to_owned(),
            }),
        };
        match answered {
            Ok(response) => {
                self.listen(response);
                Ok(())
            }
            Err(error) => self.pause(error).await,
        }
    }

    /// Waits before the next connection, unless there were enough or none will help.
    async fn pause(&mut self, error: Error) -> Result<()> {
        if self.path.is_empty() {
            return Err(error);
        }
        let Some(wait) = self.client.wait_before_retry(&error, self.broken) else {
            return Err(error);
        };
        self.broken += 1;
        tokio::time::sleep(wait).await;
        Ok(())
    }
}
