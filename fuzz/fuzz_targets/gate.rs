//! See `lectern_worker::ingest::parse::fuzzing::gate`.
#![no_main]

use lectern_worker::ingest::parse::fuzzing;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::gate(bytes));
