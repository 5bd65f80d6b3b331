//! Lectern as its users meet it: HTTP in; rows, events and pages out; on real PostgreSQL, Redis and model files.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

mod answers;
mod chunks;
mod doctor;
mod evaluate;
mod formats;
mod generator;
mod imports;
mod lifecycle;
mod limits;
mod models;
mod multilingual;
mod neighbours;
mod ocr;
mod openai;
mod operations;
mod parse;
mod passwords;
mod recovery;
mod reindex;
mod rerank;
mod spine;
mod streams;
mod tidy;
mod webhooks;
mod words;
