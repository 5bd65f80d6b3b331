//! Event streams (SSE): what happens to a document or a question, live, resumable with `Last-Event-ID`.
//!
//! Every stream ends with exactly one `done` or `failed`. Redis makes it fast; when Redis has lost something, the rows
//! tell the rest.

use std::{convert::Infallible, time::Duration};

use async_stream::stream;
use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue},
    response::{
        IntoResponse, Response,
        sse::{Event as SseEvent, KeepAlive, Sse},
    },
};
use chrono::{DateTime, Utc};
use lectern_shared::{
    events::{
        EventId, Item, Subscription, name,
        payload::{AnswerDone, Empty, IngestDone, Source, Sources, Status, Token},
    },
    failure::{Failure, FailureReport},
    ids::{DocumentId, QuestionId, TenantId},
    metrics,
    store::{
        documents, jobs,
        questions::{self, Question},
        reach::Reach,
        work,
    },
};
use rand::Rng;
use serde::Serialize;
use tokio::time::Instant;
use tracing::{debug, info, warn};
use uuid::Uuid;

use crate::{
    auth::Caller,
    error::{ApiError, Result},
    extract::Path,
    limits::Seat,
    reference::shapes,
    state::AppState,
};

/// What the stream of a document says, for the reference.
const INGEST_EVENTS: &str = "Server-sent events, `data` a JSON object each: `status` (`StatusEvent`) and `progress` \
    (`ProgressEvent`) until exactly one `done` (`IngestDoneEvent`) or `failed` (`Failure`). Comments come every 15 \
    seconds while there is nothing to say. Whoever loses the connection sends the last `id` as `Last-Event-ID`; events \
    without an `id` are told from the database and come again. `retry` says when to come back to a server that stops.";

/// What the stream of an answer says, for the reference.
pub(crate) const ANSWER_EVENTS: &str = "Server-sent events, `data` a JSON object each: `status` (`StatusEvent`), \
    `sources` (`SourcesEvent`) and `token` (`TokenEvent`) until exactly one `done` (`AnswerDoneEvent`) or `failed` \
    (`Failure`). `reset` (`ResetEvent`) says that the answer starts over: what came before it is void. Comments come \
    every 15 seconds while there is nothing to say. Whoever loses the connection sends the last `id` as \
    `Last-Event-ID`. An answer whose last reader leaves is stopped, unless it was asked for with `background`.";

/// `GET /api/v1/documents/{id}/events`
#[utoipa::path(
    get, path = "/api/v1/documents/{id}/events", tag = "Documents", operation_id = "watchDocument",
    summary = "Watch a document being read",
    description = "",
    params(("id" = DocumentId, Path, description = "The document"),
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event that was received: only later ones come")),
    responses(
        (status = 200, description = INGEST_EVENTS, body = shapes::IngestEvent, content_type = "text/event-stream"),
    ),
)]
pub(crate) async fn document(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<DocumentId>,
    headers: HeaderMap,
    seat: Seat,
) -> Result<Response> {
    documents::find(&state.pool, &caller.reach, id)
        .await?
        .ok_or(ApiError::NotFound("document"))?;
    follow(
        state,
        caller.reach,
        Subject::Document(id),
        last_event_id(&headers),
        None,
        seat,
    )
    .await
}

/// `GET /api/v1/questions/{id}/events`
#[utoipa::path(
    get, path = "/api/v1/questions/{id}/events", tag = "Questions", operation_id = "watchQuestion",
    summary = "Follow an answer as it is written",
    description = "",
    params(("id" = QuestionId, Path, description = "The question"),
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event that was received: only later ones come")),
    responses(
        (status = 200, description = ANSWER_EVENTS, body = shapes::AnswerEvent, content_type = "text/event-stream"),
    ),
)]
pub(crate) async fn question(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<QuestionId>,
    headers: HeaderMap,
    seat: Seat,
) -> Result<Response> {
    of_question(state, caller, id, last_event_id(&headers), seat).await
}

/// The stream of a question that was asked before.
pub(crate) async fn of_question(
    state: AppState,
    caller: Caller,
    id: QuestionId,
    after: EventId,
    seat: Seat,
) -> Result<Response> {
    let question = questions::find(&state.pool, &caller.reach, id)
        .await?
        .ok_or(ApiError::NotFound("question"))?;
    let subject = Subject::Question {
        id,
        background: question.background,
    };
    follow(state, caller.reach, subject, after, None, seat).await
}

/// The text of an answer that is a row, its sources and its end.
pub(crate) fn retold(question: Question) -> (String, Vec<Source>, AnswerDone) {
    let sources: Vec<_> = question.sources.0.into_iter().map(Source::from).collect();
    let cited = sources.iter().filter(|source| source.cited == Some(true));
    let done = AnswerDone {
        generator: question.generator.unwrap_or_default(),
        usage: question.usage.unwrap_or_default(),
        timings: question.timings.unwrap_or_default(),
        confidence: question.confidence,
        cached: question.cached.unwrap_or_default(),
        language: question.language,
        cited: cited.map(|source| source.number).collect(),
        abstained: question.abstained.unwrap_or_default(),
        faq: question.faq.map(|faq| faq.0),
        notice: question.notice,
    };
    (question.answer.unwrap_or_default(), sources, done)
}

/// An id that we never gave out means the same as none: the stream starts from the beginning.
fn last_event_id(headers: &HeaderMap) -> EventId {
    headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse().ok())
        .unwrap_or_default()
}

/// What a stream is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Subject {
    Document(DocumentId),
    Question { id: QuestionId, background: bool },
}

impl Subject {
    fn uuid(self) -> Uuid {
        match self {
            Self::Document(id) => id.0,
            Self::Question { id, .. } => id.0,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Document(_) => "document",
            Self::Question { .. } => "question",
        }
    }
}

/// Rows are looked at when nothing has come for so long, at first and at the longest.
const LOOK_FIRST: Duration = Duration::from_secs(1);
const LOOK_LONGEST: Duration = Duration::from_secs(15);

/// When readers come back whose stream ends since this process does.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(2);

/// Streams a subject's events after `after` until its end. `first` goes before them.
pub(crate) async fn follow(
    state: AppState,
    reach: Reach,
    subject: Subject,
    after: EventId,
    first: Option<Status>,
    seat: Seat,
) -> Result<Response> {
    let mut subscription = state.hub.attach(subject.uuid(), after).await?;
    let mut reader = Reader::new(state.clone(), reach.tenant, subject);
    let events = stream! {
        if let Some(status) = first {
            yield sse(name::STATUS, &status);
        }
        let mut story = Story { state: state.clone(), reach, subject, told: after != EventId::default(), ahead: None, retry_at: None };
        // Finished long ago: nothing will come, so don't wait for it.
        let mut look_after = if subscription.has_backlog() { LOOK_FIRST } else { Duration::ZERO };
        let mut look_at = Instant::now() + look_after;
        // Redis has lost events that this reader did not get.
        let mut lost = false;
        loop {
            tokio::select! {
                biased;
                () = state.stop.cancelled() => {
                    // The reader comes back, here or elsewhere, with the id of the last event that it got.
                    reader.disarm();
                    // Not all at once: where they go has to take them all.
                    let pause = rand::rng().random_range(RETRY_FIRST..=RETRY_LAST);
                    yield Ok(SseEvent::default().retry(pause));
                    break;
                }
                () = seat.ended() => {
                    yield key_ended();
                    break;
                }
                item = next(&mut subscription) => {
                    look_after = LOOK_FIRST;
                    look_at = Instant::now() + look_after;
                    let event = match item {
                        Item::Event(event) => event,
                        Item::Lost => {
                            lost = true;
                            continue;
                        }
                    };
                    if lost && event.name == name::DONE {
                        // The row has what Redis has lost: it was written before this event was sent.
                        look_at = Instant::now();
                        continue;
                    }
                    if lost && event.name == name::TOKEN {
                        continue;
                    }
                    lost &= event.name != name::RESET;
                    story.told = true;
                    let last = event.is_last();
                    yield Ok(SseEvent::default().id(event.id.to_string()).event(&event.name).data(&event.data));
                    if last {
                        reader.disarm();
                        break;
                    }
                }
                () = tokio::time::sleep_until(look_at) => {
                    // Apart: what a look needs is several times as large as the rest of a stream, which mostly waits.
                    let Rows { events, ended } = Box::pin(story.look()).await;
                    for event in events {
                        yield event;
                    }
                    if ended {
                        reader.disarm();
                        break;
                    }
                    look_after = (look_after * 2).clamp(LOOK_FIRST, LOOK_LONGEST);
                    look_at = Instant::now() + look_after;
                }
            }
        }
    };
    let mut response = Sse::new(events)
        .keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
        .into_response();
    // nginx would otherwise collect the tokens into blocks.
    response
        .headers_mut()
        .insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// The next item. While Redis is away this waits for it: the rows go on being looked at beside it.
pub(crate) async fn next(subscription: &mut Subscription) -> Item {
    loop {
        match subscription.next().await {
            Ok(item) => return item,
            Err(error) => {
                debug!(%error, "events can't be read");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    }
}

type SseResult = std::result::Result<SseEvent, Infallible>;

/// An event that is in no stream, and so has no id to resume from.
fn sse(name: &str, data: &impl Serialize) -> SseResult {
    let data = serde_json::to_string(data).unwrap_or_else(|_| "{}".to_owned());
    Ok(SseEvent::default().event(name).data(data))
}

/// What the rows say about a subject.
struct Story {
    state: AppState,
    reach: Reach,
    subject: Subject,
    /// Whether the reader has got anything that a retelling would double.
    told: bool,
    ahead: Option<i64>,
    retry_at: Option<DateTime<Utc>>,
}

#[derive(Default)]
struct Rows {
    events: Vec<SseResult>,
    ended: bool,
}

impl Story {
    async fn look(&mut self) -> Rows {
        let looked = match self.subject {
            Subject::Document(id) => self.document(id).await,
            Subject::Question { id, .. } => self.question(id).await,
        };
        looked.unwrap_or_else(|error| {
            warn!(%error, "rows can't be read, will look again");
            Rows::default()
        })
    }

    async fn document(&mut self, id: DocumentId) -> lectern_shared::store::Result<Rows> {
        let Some(document) = documents::find(&self.state.pool, &self.reach, id).await? else {
            return Ok(gone("document"));
        };
        let event = match (document.state.as_str(), &document.failure) {
            ("ready", _) => sse(name::DONE, &IngestDone::from(&document)),
            ("failed" | "cancelled", Some(code)) => {
                sse(name::FAILED, &FailureReport::from_code(code))
            }
            _ => return self.waiting(id).await,
        };
        Ok(Rows {
            events: vec![event],
            ended: true,
        })
    }

    async fn question(&mut self, id: QuestionId) -> lectern_shared::store::Result<Rows> {
        let Some(question) = questions::find(&self.state.pool, &self.reach, id).await? else {
            return Ok(gone("question"));
        };
        match question.state.as_str() {
            "answered" => Ok(Rows {
                events: self.retell(question),
                ended: true,
            }),
            "failed" | "cancelled" => {
                let code = question
                    .failure
                    .as_deref()
                    .unwrap_or(Failure::Internal.code());
                Ok(Rows {
                    events: vec![sse(name::FAILED, &FailureReport::from_code(code))],
                    ended: true,
                })
            }
            _ => self.position(id.0).await,
        }
    }

    fn retell(&self, question: Question) -> Vec<SseResult> {
        let mut events = Vec::with_capacity(5);
        if self.told {
            events.push(sse(name::RESET, &Empty {}));
        }
        if let Some(standalone_question) = &question.standalone_question {
            let status = Status {
                standalone_question: Some(standalone_question.clone()),
                ..Status::stage("rewriting")
            };
            events.push(sse(name::STATUS, &status));
        }
        let (text, sources, done) = retold(question);
        events.push(sse(name::SOURCES, &Sources::from(sources)));
        events.push(sse(name::TOKEN, &Token { text }));
        events.push(sse(name::DONE, &done));
        events
    }

    /// The place of a document in the queue, when it has changed.
    async fn waiting(&mut self, id: DocumentId) -> lectern_shared::store::Result<Rows> {
        let work = work::of(&self.state.pool, self.reach.tenant, &[id])
            .await?
            .pop();
        let waits = work.filter(|work| matches!(work.stage.as_str(), "queued" | "retrying"));
        let mut rows = Rows::default();
        let (ahead, retry_at) = waits
            .as_ref()
            .map_or((None, None), |work| (work.ahead, work.retry_at));
        if let Some(work) = waits
            && (ahead, retry_at) != (self.ahead, self.retry_at)
        {
            rows.events.push(sse(
                name::STATUS,
                &Status {
                    ahead,
                    retry_at,
                    estimated_end: work.estimated_end,
                    ..Status::stage(&work.stage)
                },
            ));
        }
        (self.ahead, self.retry_at) = (ahead, retry_at);
        Ok(rows)
    }

    /// The place of a question in the queue, when it has changed.
    async fn position(&mut self, subject: Uuid) -> lectern_shared::store::Result<Rows> {
        let standing = jobs::standing(&self.state.pool, self.reach.tenant, subject).await?;
        let ahead = standing
            .filter(|standing| standing.state == "queued")
            .map(|standing| standing.ahead);
        let mut rows = Rows::default();
        if ahead.is_some() && ahead != self.ahead {
            rows.events.push(sse(
                name::STATUS,
                &Status {
                    ahead,
                    ..Status::stage("queued")
                },
            ));
        }
        self.ahead = ahead;
        Ok(rows)
    }
}

fn key_ended() -> SseResult {
    let report = FailureReport {
        code: ApiError::Unauthorized.refusal().code.to_owned(),
        message:
            "The key of this stream was revoked, or has expired. Open it again with another one."
                .to_owned(),
        retryable: false,
    };
    sse(name::FAILED, &report)
}

fn gone(what: &str) -> Rows {
    let report = FailureReport {
        code: "not_found".to_owned(),
        message: format!("This {what} was deleted."),
        retryable: false,
    };
    Rows {
        events: vec![sse(name::FAILED, &report)],
        ended: true,
    }
}

/// Counts a reader, and cancels the answer when the last one has left before its end.
pub(crate) struct Reader {
    state: AppState,
    tenant: TenantId,
    subject: Subject,
    armed: bool,
}

impl Reader {
    pub(crate) fn new(state: AppState, tenant: TenantId, subject: Subject) -> Self {
        ::metrics::gauge!(metrics::STREAMS_OPEN, "subject" => subject.label()).increment(1);
        let armed = matches!(
            subject,
            Subject::Question {
                background: false,
                ..
            }
        );
        Self {
            state,
            tenant,
            subject,
            armed,
        }
    }

    pub(crate) fn disarm(&mut self) {
        self.armed = false;
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        ::metrics::gauge!(metrics::STREAMS_OPEN, "subject" => self.subject.label()).decrement(1);
        if self.armed && !self.state.stop.is_cancelled() {
            tokio::spawn(cancel_if_abandoned(
                self.state.clone(),
                self.tenant,
                self.subject.uuid(),
            ));
        }
    }
}

/// Readers get a moment to come back, as after a dropped connection; readers at other replicas count too.
async fn cancel_if_abandoned(state: AppState, tenant: TenantId, question: Uuid) {
    tokio::select! {
        () = tokio::time::sleep(state.settings.abandoned_after()) => {}
        () = state.stop.cancelled() => return,
    }
    // When Redis can't say, the answer goes on: that costs a little work and loses nothing.
    if !matches!(state.hub.audience(question).await, Ok(0)) {
        return;
    }
    info!(question.id = %question, "nobody reads the answer any more: cancelling");
    if let Err(error) = state.cancel(tenant, question).await {
        warn!(%error, "abandoned answer goes on");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_we_never_gave_out_starts_from_the_beginning() {
        let mut headers = HeaderMap::new();
        assert_eq!(last_event_id(&headers), EventId::default());
        headers.insert("last-event-id", HeaderValue::from_static("nonsense"));
        assert_eq!(last_event_id(&headers), EventId::default());
        headers.insert("last-event-id", HeaderValue::from_static("2-31"));
        assert_eq!(
            last_event_id(&headers),
            EventId {
                attempt: 2,
                sequence: 31
            }
        );
    }
}
