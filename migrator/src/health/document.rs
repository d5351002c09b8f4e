//! A report in the form of `application/health+json`, draft-inadarei-api-health-check-06.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::report::{Fault, HealthReport};
use super::verdict::Outcome;
use crate::provider_state::{ProviderState, SeedStanding};

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    status: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    release_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_id: Option<&'a str>,
    output: &'a str,
    checks: Checks<'a>,
}

/// Each with its name, in the order of the documentation.
struct Checks<'a>(Vec<(&'static str, Vec<Check<'a>>)>);

#[derive(Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Check<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    component_id: Option<&'a str>,
    component_type: &'static str,
    observed_value: Value<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    observed_unit: Option<&'static str>,
    status: Option<Outcome>,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a str>,
    /// What the draft does not know.
    #[serde(flatten)]
    more: More<'a>,
}

#[derive(Default, serde::Serialize)]
#[serde(untagged)]
enum Value<'a> {
    #[default]
    Unknown,
    Text(&'a str),
    Count(u64),
    Time(f64),
}

/// Members of ours, by name.
#[derive(Default)]
struct More<'a>(Vec<(&'static str, Extra<'a>)>);

#[derive(serde::Serialize)]
#[serde(untagged)]
enum Extra<'a> {
    Text(&'a str),
    Count(u64),
    Flag(bool),
    Fault(&'a Fault),
}

impl Serialize for Checks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, checks)| (name, checks)))
    }
}

impl Serialize for More<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        self.0.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
        map.end()
    }
}

impl Serialize for HealthReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let worst = if self.liveness.status == Outcome::Fail { &self.liveness } else { &self.readiness };
        Document {
            status: self.status,
            version: self.identity.version.as_deref(),
            release_id: self.identity.release.as_deref(),
            service_id: self.identity.name.as_deref(),
            output: &worst.message,
            checks: self.checks(),
        }
        .serialize(serializer)
    }
}

fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

impl HealthReport {
    fn checks(&self) -> Checks<'_> {
        let time = humantime::format_rfc3339_millis(self.at).to_string();
        let mut all = Vec::new();
        let mut put = |name: &'static str, mut checks: Vec<_>| {
            checks.iter_mut().for_each(|check: &mut Check<'_>| check.time.clone_from(&time));
            all.push((name, checks));
        };
        if let Some(state) = &self.state {
            put("provider:state", vec![self.of_state(state)]);
            let status = if self.liveness.is_positive() { Outcome::Pass } else { Outcome::Fail };
            put("provider:worker", vec![check("component", Value::Text(self.worker.name()), status)]);
        }
        if let Some(latency) = self.latency {
            let value = Value::Time((latency.as_secs_f64() * 1e6).round() / 1000.0);
            let unit = Some("ms");
            put("database:latency", vec![Check { observed_unit: unit, ..check("datastore", value, Outcome::Pass) }]);
        }
        put("migrations:state", vec![self.of_migrations()]);
        if let Some(schema) = &self.schema {
            let status = if schema.state == "pending" { Outcome::Fail } else { Outcome::Pass };
            let unit = Some("migrations");
            let value = Value::Count(count(schema.pending));
            put("migrations:pending", vec![Check { observed_unit: unit, ..check("datastore", value, status) }]);
        }
        // Over a connection alone nobody knows which seeds there are.
        if self.schema.is_some() && self.state.is_some() {
            put("seeds:state", self.of_seeds());
        }
        if let Some(pool) = self.pool {
            let status = if pool.in_use < pool.size { Outcome::Pass } else { Outcome::Warn };
            let more = [("idle", pool.idle), ("waiting", pool.waiting), ("size", pool.size)];
            let more = more.map(|(name, number)| (name, Extra::Count(number.into())));
            let used = check("datastore", Value::Count(pool.in_use.into()), status);
            put(
                "pool:connections",
                vec![Check { observed_unit: Some("connections"), more: More(more.into()), ..used }],
            );
        }
        if let Some(age) = self.backup_age {
            let value = Value::Count(age.as_secs());
            put("backup:age", vec![Check { observed_unit: Some("s"), ..check("datastore", value, Outcome::Pass) }]);
        }
        Checks(all)
    }

    fn of_state<'a>(&'a self, state: &'a ProviderState) -> Check<'a> {
        let mut more =
            vec![("reason", Extra::Text(self.readiness.code)), ("message", Extra::Text(&self.readiness.message))];
        match state {
            ProviderState::WaitingForDatabase { attempt, .. } => {
                more.push(("attempt", Extra::Count((*attempt).into())));
            }
            ProviderState::WaitingForLock { since, .. } | ProviderState::WaitingForMigrations { since, .. } => {
                more.push(("since_s", Extra::Count(since.as_secs())));
            }
            ProviderState::Migrating { step, steps, name, statement } => {
                more.push(("step", Extra::Count(count(*step))));
                more.push(("steps", Extra::Count(count(*steps))));
                more.push(("migration", Extra::Text(name)));
                more.push(("statement", Extra::Count(count(*statement))));
            }
            ProviderState::Seeding { seed, attempt } => {
                more.push(("seed", Extra::Text(seed)));
                more.push(("attempt", Extra::Count((*attempt).into())));
            }
            _ => {}
        }
        let status = self.readiness.status;
        let told = check("component", Value::Text(state.name()), status);
        Check { output: self.lock_holder.as_deref(), more: More(more), ..told }
    }

    fn of_migrations(&self) -> Check<'_> {
        let mut more = Vec::new();
        let (value, status) = match &self.schema {
            None => ("unknown", Outcome::Fail),
            Some(schema) => {
                more.push(("applied", Extra::Count(count(schema.applied))));
                more.extend(schema.head.as_deref().map(|head| ("head", Extra::Text(head))));
                more.push(("fingerprint", Extra::Text(&schema.fingerprint)));
                (schema.state, schema.outcome())
            }
        };
        more.extend(self.fault.as_ref().map(|fault| ("error", Extra::Fault(fault))));
        let output = self.fault.as_ref().and_then(|fault| fault.words.as_deref());
        Check { output, more: More(more), ..check("datastore", Value::Text(value), status) }
    }

    fn of_seeds(&self) -> Vec<Check<'_>> {
        if self.missing_seeds.is_empty() {
            return vec![check("datastore", Value::Text("applied"), Outcome::Pass)];
        }
        let missing = self.missing_seeds.iter().map(|missing| {
            let status = if missing.critical { Outcome::Fail } else { Outcome::Warn };
            let mut more =
                vec![("attempts", Extra::Count(missing.attempts.into())), ("critical", Extra::Flag(missing.critical))];
            if let SeedStanding::Skipped(reason) = &missing.standing {
                more.push(("reason", Extra::Text(reason)));
            }
            let told = check("datastore", Value::Text(missing.standing.name()), status);
            Check { component_id: Some(&missing.seed), more: More(more), ..told }
        });
        missing.collect()
    }
}

fn check<'a>(component_type: &'static str, observed_value: Value<'a>, status: Outcome) -> Check<'a> {
    Check { component_type, observed_value, status: Some(status), ..Check::default() }
}
