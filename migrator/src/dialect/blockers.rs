//! Who may hold what a statement waited for in vain, in words.

use std::time::Duration;

/// At most so many are named, those first that hold something for the longest.
pub(super) const NAMED: usize = 3;

/// One session: what it is, for how long, and the SQL that ends it.
pub(super) fn told(session: &str, words: &[&str], seconds: Option<u64>, end: &str) -> String {
    let mut words: Vec<String> = words.iter().filter(|word| !word.is_empty()).map(|word| plain(word)).collect();
    if let (Some(seconds), Some(last)) = (seconds, words.last_mut()) {
        last.push_str(&format!(" for {}", humantime::format_duration(Duration::from_secs(seconds))));
    }
    let words = if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) };
    format!("{session}{words}, which {end} ends")
}

/// What a stranger called itself, on one line and not too long.
fn plain(word: &str) -> String {
    word.chars().filter(|char| !char.is_control()).take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_told_with_what_is_known_of_it() {
        let end = "SELECT pg_terminate_backend(7)";
        assert_eq!(
            told("session 7", &["psql", "idle in transaction"], Some(312), end),
            "session 7 (psql, idle in transaction for 5m 12s), which SELECT pg_terminate_backend(7) ends"
        );
        assert_eq!(told("session 7", &["", "a\nb"], None, "KILL 7"), "session 7 (ab), which KILL 7 ends");
        assert_eq!(told("connection 7", &[""], Some(3), "KILL 7"), "connection 7, which KILL 7 ends");
    }
}
