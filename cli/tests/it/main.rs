//! The `lectern` command as its users meet it: run as a process, against the real API with a real worker.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

mod adding;
mod asking;
mod keys;
mod looking;
mod trouble;
