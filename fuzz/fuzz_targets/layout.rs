//! See `lectern_worker::ingest::parse::fuzzing::layout`.
#![no_main]

use lectern_worker::ingest::parse::fuzzing;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::layout(bytes));
