//! A script: what comes out of the splitter, in every dialect.
#![no_main]

#[path = "../../migrator/source/tests/properties/script.rs"]
mod script;

use migrator_source::sql::Mode;

const DECLARED: [Option<Mode>; 3] = [None, Some(Mode::Transaction), Some(Mode::NoTransaction)];

libfuzzer_sys::fuzz_target!(|text: &str| {
    // What is declared beside the script goes by its length, so that the input is the script and nothing else.
    script::check(text, DECLARED[text.len() % DECLARED.len()]);
});
