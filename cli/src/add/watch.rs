//! Watches a document until it is searchable, or can't be.

use serde_json::Value;

use super::{Plan, files::File, outcome::Outcome};
use crate::{documents::Failure, error::Error, events::Events};

pub(super) async fn until_over(plan: &Plan<'_>, file: &File, id: String) -> Outcome {
    let mut events = Events::of_document(&plan.session.client, &id);
    loop {
        let event = match events.next().await {
            Ok(event) => event,
            Err(error) => return Outcome::Refused(error),
        };
        let data = &event.data;
        let number = |name: &str| data[name].as_i64();
        match event.name.as_str() {
            "status" => plan.bars.stage(file, &stage(data)),
            "progress" => plan.bars.progress(
                file,
                data["stage"].as_str().unwrap_or_default(),
                data["done"].as_u64().unwrap_or_default(),
                data["total"].as_u64().unwrap_or_default(),
            ),
            "done" => {
                let notes = data["notes"].as_array().into_iter().flatten();
                return Outcome::Ready {
                    id,
                    pages: number("pages").unwrap_or_default(),
                    chunks: number("chunks").unwrap_or_default(),
                    version: number("version").unwrap_or(1),
                    notes: notes
                        .filter_map(|note| note.as_str().map(ToOwned::to_owned))
                        .collect(),
                };
            }
            "failed" => return failed(plan, id, event.data),
            // Events that a later release may send.
            _ => {}
        }
    }
}

fn stage(data: &Value) -> String {
    let stage = data["stage"].as_str().unwrap_or_default();
    match data["ahead"].as_i64() {
        Some(ahead) if ahead > 0 => format!("{stage}, {ahead} before it"),
        _ => stage.to_owned(),
    }
}

fn failed(plan: &Plan<'_>, id: String, data: Value) -> Outcome {
    match serde_json::from_value::<Failure>(data) {
        Ok(failure) if failure.code == "cancelled" => Outcome::Cancelled,
        Ok(failure) => Outcome::Failed { id, failure },
        Err(error) => Outcome::Refused(Error::Strange {
            url: plan.session.client.url().to_owned(),
            cause: error.to_string(),
        }),
    }
}
