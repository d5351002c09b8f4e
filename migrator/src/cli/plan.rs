//! `plan`, and `run --dry-run`.

use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::Args;
use diesel::connection::LoadConnection;
use migrator_source::sql::{Risk, position};
use serde_json::{Value, json};

use super::fold::{Shown, fold};
use super::host::{On, Purpose, Verb};
use super::{FINDINGS, output};
use crate::plan::script;
use crate::url::Url;
use crate::{Dialect, Error, MigrationSet, Plan, Policy, SqlDialect, Step, Target};

/// Show what `run` would do, with the risk of each statement, and change nothing. Exits 2 when something is pending.
///
/// `destroys`: data that is there is gone afterwards. `locks`: whoever uses the table waits until it is done.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  migrator plan --sql")]
pub(super) struct PlanArgs {
    /// Print the statements too, each with its risk.
    #[arg(long)]
    sql: bool,
    /// Show each migration, however many they are.
    #[arg(long)]
    all: bool,
}

impl PlanArgs {
    pub(super) fn verb(&self) -> PlanVerb {
        PlanVerb { target: Target::Latest, sql: self.sql, all: self.all, non_empty: Policy::Refuse }
    }
}

/// What would be done.
pub(super) struct PlanVerb {
    pub(super) target: Target,
    pub(super) sql: bool,
    pub(super) all: bool,
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
            output::answer(&text(&plan, &scripts, on.url, self.sql, self.all));
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
        let script = script(&migration, step.way, dialect)?;
        let from = step.resume_at.unwrap_or(1) - 1;
        let statements = script.statements().iter().enumerate().skip(from);
        let statements = statements.map(|(at, statement)| Line {
            number: at + 1,
            line: position(migration.text(step.way), statement.start).line,
            risk: statement.risk,
            sql: statement.text.to_owned(),
        });
        Ok(Self { file: step.file.clone(), statements: statements.collect() })
    }

    /// Each statement with its risk: all of it, or without `sql` only those that can hurt, by their first line.
    fn lines(&self, sql: bool) -> impl Iterator<Item = String> {
        let shown = self.statements.iter().filter(move |statement| sql || statement.risk != Risk::None);
        shown.map(move |Line { number, line, risk, sql: text }| {
            let style = Style::new().fg_color(match risk {
                Risk::None => None,
                Risk::Locks => Some(AnsiColor::Yellow.into()),
                Risk::Destroys => Some(AnsiColor::Red.into()),
            });
            let place = format!("{}:{line}, statement {number}", self.file);
            match sql {
                true => format!("\n-- {place}, risk: {style}{}{style:#}\n{text};", risk.name()),
                false => {
                    let first = text.lines().next().unwrap_or("");
                    format!("    {style}{:<8}{style:#}  {place}: {first}", risk.name())
                }
            }
        })
    }

    fn is_harmless(&self) -> bool {
        self.statements.iter().all(|statement| statement.risk == Risk::None)
    }
}

/// How much there is to do, then each migration with what can hurt in it.
fn text(plan: &Plan, scripts: &[Statements], url: &Url, sql: bool, all: bool) -> String {
    let mut lines = vec![format!("{url}: {}", plan.head())];
    let word = |script: &Statements| (script.is_harmless()).then_some("pending");
    let shown = fold(&scripts.iter().map(word).collect::<Vec<_>>(), all || sql);
    for shown in &shown {
        match shown {
            Shown::Row(at) => {
                let apart = if sql && *at > 0 { "\n" } else { "" };
                lines.push(format!("{apart}  {}", plan.steps()[*at]));
                lines.extend(scripts[*at].lines(sql));
            }
            Shown::More(count) => lines.push(format!("  ⋮  {count} more")),
        }
    }
    if shown.len() < scripts.len() {
        lines.push(output::as_called("  migrator plan --all shows each of them").into_owned());
    }
    lines.extend(plan.warnings().iter().map(|warning| format!("  warning: {warning}")));
    lines.join("\n")
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
