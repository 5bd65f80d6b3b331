//! `lectern search`: passages, and where they stand.

use std::io::Read;

use serde_json::{Value, json};

use crate::{
    Session,
    config::Search,
    error::{Error, Result},
};

/// Characters of a passage, unless it is wanted in full.
const SHOWN: usize = 240;

pub(crate) async fn run(session: &Session, wanted: Search) -> Result<()> {
    let mut body = json!({"question": text(&wanted.question)?});
    let fields = [
        (
            "collection",
            session.collection(wanted.collection).map(Value::from),
        ),
        ("passages", wanted.passages.map(Value::from)),
        ("filter", wanted.filter),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            body[name] = value;
        }
    }
    let found: Value = session.client.post(&["search"], &body).await?;
    if session.out.json {
        return session.out.value(&found);
    }
    let passages = found["passages"].as_array().cloned().unwrap_or_default();
    if passages.is_empty() {
        session.out.note("Nothing was found.");
    }
    for passage in &passages {
        let text = passage["text"].as_str().unwrap_or_default();
        let shown = if wanted.full {
            text.to_owned()
        } else {
            excerpt(text)
        };
        session.out.line(&format!(
            "{}\n    {}\n",
            place(passage),
            shown.replace('\n', "\n    ")
        ))?;
    }
    Ok(())
}

/// A question as it was given, or as it comes through a pipe.
pub(crate) fn text(given: &str) -> Result<String> {
    if given != "-" {
        return Ok(given.to_owned());
    }
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| {
            Error::local(
                format!("the question can't be read: {error}"),
                "Write it as UTF-8.",
            )
        })?;
    Ok(text.trim().to_owned())
}

/// Where a passage stands: its number, document, page and heading.
pub(crate) fn place(passage: &Value) -> String {
    let number = &passage["number"];
    let name = passage["document_name"].as_str().unwrap_or_default();
    let pages = match passage["place"].as_str() {
        Some(place) => place.to_owned(),
        None if passage["page_first"] == passage["page_last"] => {
            format!("page {}", passage["page_first"])
        }
        None => format!("pages {}–{}", passage["page_first"], passage["page_last"]),
    };
    match passage["heading"].as_str() {
        Some(heading) => format!("[{number}] {name}, {pages}: {heading}"),
        None => format!("[{number}] {name}, {pages}"),
    }
}

fn excerpt(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", words[..end].trim_end()),
        None => words,
    }
}
