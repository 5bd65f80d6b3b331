//! A conversation as its client tells it: the last question, and what was said before.

use lectern_shared::store::conversations::Turn;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    config::ApiSettings,
    error::{ApiError, Result},
    extract::Object,
};

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = ChatMessage)]
pub(super) struct Message {
    role: String,
    /// A text, or a list of parts.
    #[serde(default)]
    content: Value,
}

/// What is asked, and the turns before it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Conversation {
    pub(super) question: String,
    pub(super) turns: Vec<Turn>,
}

fn refused(detail: impl Into<String>) -> ApiError {
    ApiError::Parameter {
        name: "messages",
        detail: detail.into(),
    }
}

/// The last message of the user is the question. Orders of a `system` are not followed: how answers are written is the
/// server's own affair, or documents and clients could talk it out of its sources.
pub(super) fn read(messages: &[Object<Message>], settings: &ApiSettings) -> Result<Conversation> {
    let mut turns: Vec<Turn> = Vec::new();
    for Object(message) in messages {
        match message.role.as_str() {
            "user" => turns.push(Turn {
                text: text(&message.content)?,
                standalone_question: None,
                answer: None,
            }),
            "assistant" => {
                let said = text(&message.content)?;
                // An assistant that begins, or goes on, has been asked nothing new.
                if let Some(turn) = turns.last_mut().filter(|_| !said.is_empty()) {
                    turn.answer = Some(match turn.answer.take() {
                        Some(before) => format!("{before}\n{said}"),
                        None => said,
                    });
                }
            }
            "system" | "developer" | "tool" | "function" => {}
            other => {
                let other = other.escape_debug();
                return Err(refused(format!(
                    "There is no role `{other}`. Use `user` and `assistant`."
                )));
            }
        }
    }
    let question = turns.pop().ok_or_else(|| {
        refused("There is no question. Add a message with the role `user` at the end.")
    })?;
    let before = turns
        .len()
        .saturating_sub(settings.openai_history_turns_max);
    let mut turns = turns.split_off(before);
    for turn in &mut turns {
        cut(&mut turn.text, settings.openai_history_chars_max);
        if let Some(answer) = &mut turn.answer {
            cut(answer, settings.openai_history_chars_max);
        }
    }
    Ok(Conversation {
        question: question.text,
        turns,
    })
}

fn text(content: &Value) -> Result<String> {
    let text = match content {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts: Result<Vec<&str>> = parts.iter().map(part).collect();
            texts?.join("\n")
        }
        _ => {
            return Err(refused(
                "The field `content` of a message is a text, or a list of parts of the type `text`.",
            ));
        }
    };
    // PostgreSQL keeps no NUL characters.
    Ok(text.replace('\0', ""))
}

fn part(part: &Value) -> Result<&str> {
    match (part["type"].as_str(), part["text"].as_str()) {
        (Some("text"), Some(text)) => Ok(text),
        // What an assistant that has refused said.
        (Some("refusal"), _) => Ok(""),
        _ => Err(refused(
            "Only text can be asked about: leave out pictures, sound and files, and upload documents with POST \
             /api/v1/documents.",
        )),
    }
}

fn cut(text: &mut String, chars_max: usize) {
    if let Some((end, _)) = text.char_indices().nth(chars_max) {
        text.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Settings {
        #[command(flatten)]
        api: ApiSettings,
    }

    fn conversation(messages: &Value) -> Result<Conversation> {
        let messages: Vec<Object<Message>> = serde_json::from_value(messages.clone()).unwrap();
        let settings = [
            "test",
            "--openai-history-turns-max=2",
            "--openai-history-chars-max=6",
        ];
        read(&messages, &Settings::parse_from(settings).api)
    }

    fn turn(text: &str, answer: Option<&str>) -> Turn {
        Turn {
            text: text.to_owned(),
            standalone_question: None,
            answer: answer.map(str::to_owned),
        }
    }

    #[test]
    fn the_last_question_is_asked_and_the_turns_before_it_are_kept_as_far_as_they_may() {
        let told = conversation(&json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "zero"},
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "first answer"},
            {"role": "user", "content": [{"type": "text", "text": "two"}]},
            {"role": "assistant", "content": null, "tool_calls": []},
            {"role": "user", "content": "three?"},
        ]));
        let turns = vec![turn("one", Some("first ")), turn("two", None)];
        assert_eq!(
            told.unwrap(),
            Conversation {
                question: "three?".into(),
                turns
            }
        );
    }

    #[test]
    fn what_can_not_be_asked_is_refused() {
        for refused in [
            json!([]),
            json!([{"role": "system", "content": "Be brief."}]),
            json!([{"role": "robot", "content": "?"}]),
            json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]),
            json!([{"role": "user", "content": 7}]),
        ] {
            assert!(conversation(&refused).is_err(), "{refused}");
        }
    }
}
