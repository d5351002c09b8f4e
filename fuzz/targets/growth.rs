//! A piece of a script, many times: sixteen times the text takes no more than some sixteen times as long.
#![no_main]

use std::time::Duration;

use migrator_source::sql::{Script, SqlDialect};
use rustix::time::{ClockId, clock_gettime};

const SHORT: usize = 4_000;
const TIMES: usize = 16;

/// Below this, what a thread does beside reading is in the measure.
const LEAST: Duration = Duration::from_millis(20);

libfuzzer_sys::fuzz_target!(|input: (&str, &str)| {
    let (head, piece) = input;
    if piece.is_empty() {
        return;
    }
    for &dialect in SqlDialect::ALL {
        let time = |length: usize| {
            let text = head.to_owned() + &piece.repeat(length / piece.len() + 1);
            let begin = now();
            drop(Script::parse(&text, dialect, None));
            now().saturating_sub(begin)
        };
        // Asked again, for the processor may be busy. A square would be 256 times as long.
        let grows = || {
            let (short, long) = (time(SHORT), time(SHORT * TIMES));
            long > LEAST && long > short * 100
        };
        assert!(!(grows() && grows() && grows()), "{dialect}: {head:?} and {piece:?} again and again");
    }
});

fn now() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("time since the begin of the thread")
}
