//! The results in Markdown.

use std::time::Duration;

use crate::measure::Taken;
use crate::place::Counts;

/// The times of all contenders for one size of set.
pub(crate) struct Column {
    heading: String,
    times: Vec<Duration>,
}

impl Column {
    pub(crate) fn new(size: usize, far: bool, times: impl Iterator<Item = Duration>) -> Column {
        let line = if far { ", + 1 ms" } else { "" };
        Column { heading: format!("{size}{line}"), times: times.collect() }
    }
}

/// The first row in milliseconds, the others as multiples of it.
pub(crate) fn times(title: &str, names: &[&str], columns: &[Column]) {
    println!("\n**{title}**\n");
    let headings: Vec<&str> = columns.iter().map(|column| column.heading.as_str()).collect();
    println!("| | {} |\n|---|{}", headings.join(" | "), "---|".repeat(columns.len()));
    for (at, name) in names.iter().enumerate() {
        let cells: Vec<String> = columns.iter().map(|column| cell(&column.times, at)).collect();
        println!("| {name} | {} |", cells.join(" | "));
    }
}

fn cell(times: &[Duration], at: usize) -> String {
    match at {
        0 => format!("{:.2} ms", times[0].as_secs_f64() * 1000.0),
        _ => format!("{:.2} ×", times[at].as_secs_f64() / times[0].as_secs_f64()),
    }
}

/// What each contender took for the one work and the other.
pub(crate) fn counts(database: &str, size: usize, names: &[&str], counts: &[[Taken; 2]]) {
    println!("\n**{database}, counted for {size} heavy migrations**\n");
    println!("| | cold apply: statements | round trips | syncs | unchanged start: statements | round trips | syncs |");
    println!("|---|---|---|---|---|---|---|");
    for (name, taken) in names.iter().zip(counts) {
        let cells: Vec<String> = taken.iter().flat_map(three).collect();
        println!("| {name} | {} |", cells.join(" | "));
    }
}

fn three((counts, syncs): &Taken) -> [String; 3] {
    let cell = |number: Option<u64>| number.map_or("–".to_owned(), |number| number.to_string());
    let of = |number: fn(&Counts) -> u64| cell(counts.as_ref().map(number));
    [of(|counts| counts.statements), of(|counts| counts.round_trips), cell(*syncs)]
}
