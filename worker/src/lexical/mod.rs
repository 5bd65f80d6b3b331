//! Search by words: BM25 over postings that lie in PostgreSQL.
//!
//! Written by an ingest ([`postings`]), kept few and complete by a job ([`upkeep`]), and scored in the worker
//! ([`bm25`]), because adding up a hundred thousand postings takes a millisecond here and fifty in SQL.

mod language;

mod analysis;

mod postings;

mod bm25;

pub(crate) mod search;

pub(crate) mod upkeep;

pub(crate) use self::{bm25::Parameters, language::Language, postings::index};
