//! An answer as it comes, for doors that tell it in other words than our own events do.

use std::{collections::VecDeque, time::Duration};

use lectern_shared::{
    events::{
        Event, EventId, Item, Subscription, name,
        payload::{AnswerDone, Source, Sources, Token},
    },
    failure::{Failure, FailureReport},
    ids::QuestionId,
    store::{
        questions::{self, Question},
        reach::Reach,
    },
};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::warn;

use crate::{
    error::{ApiError, Result},
    limits::Seat,
    state::AppState,
    streams::{self, Reader, Subject},
};

/// A step of an answer.
pub(crate) enum Step {
    Sources(Vec<Source>),
    Text(String),
    /// Throw away what came before: it starts over.
    Reset,
    Done(Box<AnswerDone>),
}

/// Rows are looked at when nothing has come for so long, at first and at the longest.
const LOOK_FIRST: Duration = Duration::from_secs(1);
const LOOK_LONGEST: Duration = Duration::from_secs(15);

/// The steps of an answer. Whoever drops it before the end has it cancelled, as with a stream.
pub(crate) struct Answering {
    state: AppState,
    reach: Reach,
    question: QuestionId,
    subscription: Subscription,
    reader: Reader,
    /// Redis has lost events: the rows will tell the rest.
    lost: bool,
    steps: VecDeque<Step>,
    look_after: Duration,
    seat: Seat,
}

impl Answering {
    pub(crate) async fn attach(
        state: &AppState,
        reach: Reach,
        question: QuestionId,
        seat: Seat,
    ) -> Result<Self> {
        let subject = Subject::Question {
            id: question,
            background: false,
        };
        Ok(Self {
            subscription: state.hub.attach(question.0, EventId::default()).await?,
            reader: Reader::new(state.clone(), reach.tenant, subject),
            state: state.clone(),
            reach,
            question,
            lost: false,
            steps: VecDeque::new(),
            look_after: LOOK_FIRST,
            seat,
        })
    }

    /// The next step; `Done` is the last one. A failure is one, too.
    pub(crate) async fn next(&mut self) -> Result<Step> {
        loop {
            if let Some(step) = self.steps.pop_front() {
                if matches!(step, Step::Done(_)) {
                    self.reader.disarm();
                }
                return Ok(step);
            }
            let look_at = Instant::now() + self.look_after;
            tokio::select! {
                biased;
                // The client can't take it up elsewhere, so it has the time that the process has.
                () = self.state.late.cancelled() => return Err(self.give_up().await),
                () = self.seat.ended() => return Err(ApiError::Unauthorized),
                item = streams::next(&mut self.subscription) => {
                    self.look_after = LOOK_FIRST;
                    match item {
                        Item::Event(event) => self.hear(&event)?,
                        Item::Lost => self.lost = true,
                    }
                }
                () = tokio::time::sleep_until(look_at) => {
                    self.look_after = (self.look_after * 2).min(LOOK_LONGEST);
                    self.look().await?;
                }
            }
            if self.lost {
                // What is lost can't be told piece by piece any more.
                self.look().await?;
            }
        }
    }

    /// Nobody will read the rest.
    async fn give_up(&mut self) -> ApiError {
        self.reader.disarm();
        if let Err(error) = self.state.cancel(self.reach.tenant, self.question.0).await {
            warn!(%error, "an answer that nobody reads goes on");
        }
        ApiError::TookTooLong
    }

    fn hear(&mut self, event: &Event) -> Result<()> {
        let step = match event.name.as_str() {
            name::RESET => {
                self.lost = false;
                Step::Reset
            }
            name::FAILED => {
                self.reader.disarm();
                let report: FailureReport = parse(event)?;
                return Err(failed(&report.code));
            }
            _ if self.lost => return Ok(()),
            name::SOURCES => Step::Sources(parse::<Sources>(event)?.sources),
            name::TOKEN => Step::Text(parse::<Token>(event)?.text),
            name::DONE => Step::Done(Box::new(parse(event)?)),
            _ => return Ok(()),
        };
        self.steps.push_back(step);
        Ok(())
    }

    /// What the rows say, when Redis says nothing or has lost something.
    async fn look(&mut self) -> Result<()> {
        let found = match questions::find(&self.state.pool, &self.reach, self.question).await {
            Ok(found) => found,
            Err(error) => {
                warn!(%error, "rows can't be read, will look again");
                return Ok(());
            }
        };
        let Some(question) = found else {
            self.reader.disarm();
            return Err(ApiError::NotFound("question"));
        };
        match question.state.as_str() {
            "answered" => {
                self.retell(question);
                self.lost = false;
                Ok(())
            }
            "failed" | "cancelled" => {
                self.reader.disarm();
                Err(failed(question.failure.as_deref().unwrap_or_default()))
            }
            _ => Ok(()),
        }
    }

    fn retell(&mut self, question: Question) {
        let (text, sources, done) = streams::retold(question);
        self.steps.extend([
            Step::Reset,
            Step::Sources(sources),
            Step::Text(text),
            Step::Done(Box::new(done)),
        ]);
    }
}

/// A whole answer.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) sources: Vec<Source>,
    pub(crate) done: AnswerDone,
}

impl Answer {
    /// Waits for all of it, for so long at the most.
    pub(crate) async fn of(mut answering: Answering) -> Result<Self> {
        let patience = answering.state.settings.answer_timeout();
        let whole = async {
            let mut answer = Self::default();
            loop {
                match answering.next().await? {
                    Step::Sources(sources) => answer.sources = sources,
                    Step::Text(text) => answer.text.push_str(&text),
                    Step::Reset => answer = Self::default(),
                    Step::Done(done) => {
                        answer.done = *done;
                        return Ok(answer);
                    }
                }
            }
        };
        tokio::time::timeout(patience, whole)
            .await
            .map_err(|_| ApiError::NoWorker)?
    }
}

fn parse<T: DeserializeOwned>(event: &Event) -> Result<T> {
    serde_json::from_str(&event.data).map_err(|error| {
        warn!(%error, event = event.name, "an event can't be read");
        ApiError::Failed(Failure::Internal)
    })
}

fn failed(code: &str) -> ApiError {
    ApiError::Failed(code.parse().unwrap_or(Failure::Internal))
}
