//! Whether what is recorded holds together: the history, the tool's table, and the ledger of seeds. A pure decision.

use migrator_source::layout::Layout;

use crate::environment::Environment;
use crate::record::History;
use crate::status::Problem;

/// What is read besides the history.
pub(crate) struct Found<'a> {
    /// The schema that the history was found in.
    pub(crate) schema: &'a str,
    /// What the layout's own tool did, or its table lacks, that is still to be recorded, a sentence each.
    pub(crate) out_of_step: &'a [String],
    pub(crate) seeds: &'a [SeedRow],
}

/// A row of the ledger of seeds, as far as it can contradict itself.
pub(crate) struct SeedRow {
    pub(crate) name: String,
    /// Whether it says that the seed holds; `None` for a word of a newer version of this crate.
    pub(crate) took: Option<bool>,
    pub(crate) attempts: u32,
    pub(crate) has_moment: bool,
    pub(crate) has_error: bool,
}

/// What does not hold together besides what a status tells.
pub(crate) fn verify(history: Option<&History>, layout: Layout, found: &Found<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut add = |code: &'static str, message: String, help: &str| {
        problems.push(Problem { code, version: None, message, help: help.to_owned() });
    };
    let contradictions = history.map(|history| history.contradictions(layout)).unwrap_or_default();
    if let Some(first) = contradictions.first() {
        let more = contradictions.len() - 1;
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        let help = "a hand wrote the history: restore __migrator_history and __migrator_meta from a backup";
        add("history_contradicts", format!("records that cannot follow on those before them: {first}{more}"), help);
    }
    let meta = history.and_then(|history| history.meta.as_ref());
    if let Some(schema) = meta.and_then(|meta| meta.schema.as_deref()).filter(|schema| *schema != found.schema) {
        let help = "the tables were copied or the schema was renamed: write its name into __migrator_meta, column schema; until then \
                    each start takes the slow way";
        add("moved", format!("the history says that it lives in {schema}, and was found in {}", found.schema), help);
    }
    if let Some(word) = meta.and_then(|meta| meta.environment.as_deref())
        && word.parse::<Environment>().is_err()
    {
        let help = "write development, test, staging or production into __migrator_meta, column environment";
        add("environment_unknown", format!("the database is marked as `{word}`, which is no environment"), help);
    }
    for told in found.out_of_step {
        add("out_of_step", told.clone(), "migrator run records it");
    }
    if history.is_none() && !found.seeds.is_empty() {
        let message = format!("{} seeds are recorded, and there is no history of migrations", found.seeds.len());
        add("seeds_contradict", message, "restore __migrator_history and __migrator_meta from a backup");
    }
    for SeedRow { name, took, attempts, has_moment, has_error } in found.seeds {
        let why = match took {
            Some(true) if !has_moment => "it is recorded as applied, without a moment",
            Some(false) if !has_error => "it is recorded as failed, without an error",
            Some(false) if *attempts == 0 => "it is recorded as failed, without an attempt",
            _ => continue,
        };
        let help = "a hand wrote it: delete its row of __migrator_seeds, and the seed runs again";
        add("seeds_contradict", format!("seed {name}: {why}"), help);
    }
    problems
}
