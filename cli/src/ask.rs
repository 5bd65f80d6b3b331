//! `lectern ask`: the answer as it is written, then where it stands.

use std::{pin::pin, time::Duration};

use reqwest::{Method, header};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    Session,
    config::Ask,
    error::{Error, Problem, Result},
    events::{Events, Told},
    output::Out,
    search,
};

/// How long Ctrl-C waits for the server, to take the question back.
const FAREWELL: Duration = Duration::from_secs(2);

pub(crate) async fn run(session: &Session, wanted: Ask) -> Result<()> {
    let (tell_id, mut id) = watch::channel(None);
    let mut asking = Asking {
        tell_id,
        standalone_question: None,
        conversation: None,
        sources: Vec::new(),
        answer: String::new(),
    };
    let mut answered = pin!(asking.run(session, wanted));
    let ended = tokio::select! {
        ended = &mut answered => ended,
        () = session.stop.cancelled() => {
            // It may be asked already without our having heard its id.
            let known = async { id.wait_for(Option::is_some).await.is_ok() };
            let _ = tokio::time::timeout(FAREWELL, async {
                tokio::select! { _ = answered => {}, _ = known => {} }
            })
            .await;
            Err(Error::Interrupted)
        }
    };
    let id = id.borrow().clone();
    if let (Err(Error::Interrupted | Error::Pipe), Some(id)) = (&ended, id) {
        // Nobody reads it any more. If this gets lost, the server notices by itself.
        let path = ["questions", id.as_str()];
        let _ = tokio::time::timeout(FAREWELL, session.client.delete(&path)).await;
    }
    ended
}

struct Asking {
    /// The question's id, once the server has told it.
    tell_id: watch::Sender<Option<String>>,
    standalone_question: Option<String>,
    conversation: Option<String>,
    sources: Vec<Value>,
    answer: String,
}

impl Asking {
    async fn run(&mut self, session: &Session, wanted: Ask) -> Result<()> {
        let text = search::text(&wanted.question)?;
        let collection = match wanted.conversation.as_deref() {
            // A conversation that goes on has a collection.
            Some(id) if id != "new" => wanted.collection,
            _ => session.collection(wanted.collection),
        };
        self.conversation = match wanted.conversation.as_deref() {
            Some("new") => Some(begin(session, collection.as_deref()).await?),
            other => other.map(ToOwned::to_owned),
        };
        let mut body = json!({"question": text});
        let fields = [
            ("collection", collection.map(Value::from)),
            (
                "conversation_id",
                self.conversation.clone().map(Value::from),
            ),
            ("passages", wanted.passages.map(Value::from)),
            ("filter", wanted.filter),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                body[name] = value;
            }
        }
        let client = &session.client;
        let request = client
            .request(Method::POST, &["questions"])
            .header(header::ACCEPT, "text/event-stream")
            .json(&body);
        let sent = tokio::time::timeout(client.patience, request.send()).await;
        let sent = sent.map_err(|_| Error::Unreachable {
            url: client.url().to_owned(),
            cause: format!("nothing came within {} s", client.patience.as_secs()),
        })?;
        let mut events = Events::open(client, client.accept(sent).await?);
        // What was shown can be taken back on no paper and in no pipe: only a terminal sees it grow.
        let live = !session.out.json && Out::is_terminal();
        loop {
            let event = events.next().await?;
            match event.name.as_str() {
                "status" => self.status(&mut events, &event),
                "sources" => self.sources = list(&event.data["sources"]),
                "token" => {
                    let piece = event.data["text"].as_str().unwrap_or_default();
                    self.answer.push_str(piece);
                    if live {
                        session.out.text(piece)?;
                    }
                }
                "reset" => {
                    if live && !self.answer.is_empty() {
                        session.out.text("\n[it starts over]\n\n")?;
                    }
                    self.answer.clear();
                    self.sources.clear();
                }
                "done" => return self.done(session, &event.data, live),
                "failed" => return Err(failed(event.data)),
                _ => {}
            }
        }
    }

    fn status(&mut self, events: &mut Events<'_>, event: &Told) {
        if let Some(id) = event.data["question"].as_str() {
            self.tell_id.send_replace(Some(id.to_owned()));
            events.path = vec!["questions".into(), id.into(), "events".into()];
        }
        if let Some(text) = event.data["standalone_question"].as_str() {
            self.standalone_question = Some(text.to_owned());
        }
    }

    fn done(&mut self, session: &Session, done: &Value, live: bool) -> Result<()> {
        let out = &session.out;
        let cited = list(&done["cited"]);
        if out.json {
            let id = self.tell_id.borrow().clone();
            let mut told = json!({
                "id": id, "answer": self.answer, "sources": self.sources,
                "conversation_id": self.conversation, "standalone_question": self.standalone_question,
            });
            if let (Value::Object(told), Value::Object(done)) = (&mut told, done.clone()) {
                told.extend(done);
            }
            return out.value(&told);
        }
        if live {
            out.text("\n")?;
        } else {
            out.line(&self.answer)?;
        }
        if let Some(link) = done["faq"]["link"].as_str() {
            out.line(&format!("\nMore: {link}"))?;
        }
        if done["notice"] == "uncited" {
            out.note("\nIt cites none of its sources: compare it with them.");
        }
        let shown: Vec<&Value> = self
            .sources
            .iter()
            .filter(|source| cited.is_empty() || cited.contains(&source["number"]))
            .collect();
        if !shown.is_empty() {
            let title = if done["abstained"] == true {
                "Nearest passages"
            } else {
                "Sources"
            };
            let lines: Vec<String> = shown.into_iter().map(search::place).collect();
            out.line(&format!("\n{title}:\n{}", lines.join("\n")))?;
        }
        if let Some(conversation) = &self.conversation {
            out.note(&format!("\nGo on with --conversation {conversation}"));
        }
        Ok(())
    }
}

async fn begin(session: &Session, collection: Option<&str>) -> Result<String> {
    let mut body = json!({});
    if let Some(collection) = collection {
        body["collection"] = collection.into();
    }
    let begun: Value = session.client.post(&["conversations"], &body).await?;
    match begun["id"].as_str() {
        Some(id) => Ok(id.to_owned()),
        None => Err(session.client.strange(&"a conversation without an id")),
    }
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn failed(data: Value) -> Error {
    let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
    Error::Problem(Problem {
        status: 0,
        code: text("code"),
        title: "The question failed".to_owned(),
        detail: text("message"),
        retry_after: None,
    })
}
