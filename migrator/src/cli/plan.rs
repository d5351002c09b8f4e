//! `plan`, and `run --dry-run`.

use std::process::ExitCode;

use clap::Args;
use diesel::connection::LoadConnection;
use migrator_source::sql::{Risk, position};
use serde_json::{Value, json};

use super::host::{On, Purpose, Verb};
use super::{FINDINGS, output};
use crate::plan::script;
use crate::{Dialect, Error, MigrationSet, Plan, Policy, SqlDialect, Step, Target};

/// Show what `run` would do, with the risk of each statement, and change nothing. Exits 2 when something is pending.
///
/// `destroys`: data that is there is gone afterwards. `locks`: whoever uses the table waits until it is done.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  migrator plan --sql")]
pub(super) struct PlanArgs {
    /// Print the statements too.
    #[arg(long)]
    sql: bool,
}

impl PlanArgs {
    pub(super) fn verb(&self) -> PlanVerb {
        PlanVerb { target: Target::Latest, sql: self.sql, non_empty: Policy::Refuse }
    }
}

/// What would be done.
pub(super) struct PlanVerb {
    pub(super) target: Target,
    pub(super) sql: bool,
    pub(super) non_empty: Policy,
}

impl Verb for PlanVerb {
    fn purpose(&self) -> Purpose {
        Purpose::Read
    }

    fn call<C>(self, mut on: On<'_, C>) -> Result<ExitCode, Error>
    where
        C: LoadConnection<Backend: Dialect> + Send + 'static,
    {
        let migrator = on.migrator.non_empty(self.non_empty);
        let plan = migrator.plan(&mut on.conn, self.target)?;
        let scripts = plan.steps().iter().map(|step| Statements::of(on.set, step, C::Backend::SQL));
        let scripts = scripts.collect::<Result<Vec<_>, Error>>()?;
        if on.global.json {
            output::json(&document(&plan, &scripts, self.sql));
        } else {
            output::answer(&plan);
            scripts.iter().for_each(|script| script.print(self.sql));
        }
        Ok(if plan.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) })
    }
}

/// The statements of one step that would run.
struct Statements {
    file: String,
    statements: Vec<Line>,
}

struct Line {
    number: usize,
    line: usize,
    risk: Risk,
    sql: String,
}

impl Statements {
    fn of(set: &MigrationSet, step: &Step, dialect: SqlDialect) -> Result<Self, Error> {
        let migration = set.at(step.position);
        let script = script(&migration, dialect)?;
        let from = step.resume_at.unwrap_or(1) - 1;
        let statements = script.statements().iter().enumerate().skip(from);
        let statements = statements.map(|(at, statement)| Line {
            number: at + 1,
            line: position(migration.up(), statement.start).line,
            risk: statement.risk,
            sql: statement.text.to_owned(),
        });
        Ok(Self { file: migration.path(), statements: statements.collect() })
    }

    /// Each statement with its risk: all of it, or without `sql` only those that can hurt, by their first line.
    fn print(&self, sql: bool) {
        for Line { number, line, risk, sql: text } in &self.statements {
            let place = format_args!("{}:{line}, statement {number}", self.file);
            match (sql, risk) {
                (true, risk) => output::answer(&format_args!("\n-- {place}, risk: {}\n{text};", risk.name())),
                (false, Risk::None) => {}
                (false, risk) => {
                    let first = text.lines().next().unwrap_or("");
                    output::answer(&format_args!("  {:<8}  {place}: {first}", risk.name()));
                }
            }
        }
    }
}

/// The document of `plan` and of `run --dry-run`.
fn document(plan: &Plan, scripts: &[Statements], sql: bool) -> Value {
    let mut document = json!(plan);
    if let Some(steps) = document["steps"].as_array_mut() {
        for (step, script) in steps.iter_mut().zip(scripts) {
            let line = |Line { number, line, risk, sql: text }: &Line| {
                let mut statement = json!({ "number": number, "line": line, "risk": risk.name() });
                if sql {
                    statement["sql"] = json!(text);
                }
                statement
            };
            step["script"] = script.statements.iter().map(line).collect();
        }
    }
    document
}
