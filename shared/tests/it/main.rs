//! The ledger, the events and the model's identity, on a real PostgreSQL and a real Redis.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod ledger;
mod lexicon;
mod reindex;
mod schema;
mod streams;
mod transactions;
mod turns;
