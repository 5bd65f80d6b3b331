//! What tools take and give, with the schemas that assistants are told.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// The question, in the words of the user; it must be understood without the conversation.
    pub(super) question: String,
    /// The collection to look into; without it the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) collection: Option<String>,
    /// How many passages, at the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) passages: Option<u16>,
    /// Only documents whose metadata contain this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) filter: Option<Map<String, Value>>,
}

/// A passage of a document.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(super) struct Passage {
    /// The `n` of the answer's `[n]`.
    pub(super) number: i16,
    /// The document's id, for `read_document`.
    pub(super) document: String,
    pub(super) document_name: String,
    pub(super) document_title: Option<String>,
    pub(super) page_first: i32,
    pub(super) page_last: i32,
    /// The titles that it stands under.
    pub(super) heading: Option<String>,
    /// Where it stands if its pages don't say it, such as "Slide 3".
    #[serde(default)]
    pub(super) place: Option<String>,
    pub(super) text: String,
    pub(super) score: f32,
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(super) struct Found {
    pub(super) passages: Vec<Passage>,
    /// How likely it is that they answer the question, from 0 to 1.
    pub(super) confidence: Option<f32>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Answered {
    /// With citations such as `[1]`, of the sources with that number.
    pub(super) answer: String,
    pub(super) sources: Vec<Passage>,
    /// The numbers of the sources that it cites.
    pub(super) cited: Vec<i16>,
    /// How likely it is that the sources answer the question, from 0 to 1.
    pub(super) confidence: Option<f32>,
    /// The documents don't answer; the sources are the nearest passages.
    pub(super) abstained: bool,
    /// What to tell readers besides: `budget_exhausted`, when passages were quoted since the tokens are used
    /// up; `uncited`, when the answer cites none of the sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) notice: Option<String>,
}

#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Listing {
    /// The collection; without it all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) collection: Option<String>,
    /// A part of the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// queued, processing, ready, failed or cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) state: Option<String>,
    /// 1 to 200; without it 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) limit: Option<u32>,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cursor: Option<String>,
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(super) struct Document {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) title: Option<String>,
    pub(super) collection: String,
    pub(super) state: String,
    pub(super) media_type: String,
    pub(super) bytes: i64,
    pub(super) pages: Option<i32>,
    pub(super) source_url: Option<String>,
    pub(super) metadata: Map<String, Value>,
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(super) struct Documents {
    pub(super) documents: Vec<Document>,
    /// Pass it as `cursor` for the next page; null on the last.
    pub(super) next: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reading {
    /// The document's id.
    pub(super) document: String,
    /// The first page, from 1; without it 1.
    #[serde(default)]
    pub(super) page_first: Option<i32>,
    /// The last page; without it the document's last. `next_page` says where to go on if these are too many at a time.
    #[serde(default)]
    pub(super) page_last: Option<i32>,
}
