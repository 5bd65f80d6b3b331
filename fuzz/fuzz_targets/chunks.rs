//! See `lectern_worker::ingest::parse::fuzzing::chunks`; it counts with the tokenizer in `LECTERN_MODEL_DIR`.
#![no_main]

use std::{path::Path, sync::LazyLock};

use lectern_worker::{ingest::parse::fuzzing, models::TokenCounter};

static TOKENS: LazyLock<TokenCounter> = LazyLock::new(|| {
    let folder = std::env::var_os("LECTERN_MODEL_DIR").expect("LECTERN_MODEL_DIR: . .dev/env");
    TokenCounter::open(Path::new(&folder)).expect("a tokenizer")
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::chunks(&TOKENS, bytes));
