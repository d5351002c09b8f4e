//! Dumps that two databases can be compared by.

use std::process::Command;

/// A table as [`Database::tables`](crate::Database::tables) lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// What a person calls it; with the schema in front where that is not the usual one.
    pub name: String,
    /// What SQL calls it.
    pub quoted: String,
}

/// Whether this is a table in which a migration tool keeps its history, or something that such a table owns.
///
/// Those are left out of dumps and row counts, so that the same schema compares equal whoever built it.
pub fn is_tool_table(name: &str) -> bool {
    const TABLES: [&str; 4] =
        ["__diesel_schema_migrations", "_prisma_migrations", "_sqlx_migrations", "refinery_schema_history"];
    name.starts_with("__migrator_") || TABLES.contains(&name)
}

/// Runs a dump tool and returns what it wrote.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; scripts/test installs it"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("a schema dump is UTF-8")
}

/// Drops what is not schema from the output of `pg_dump` or `mariadb-dump`.
///
/// A comment or a `SET` that begins a line in the body of a function goes too; indented it stays. Line by line the two
/// cannot be told apart.
pub(crate) fn normalise(dump: &str) -> String {
    let mut normal = String::new();
    for line in dump.lines().map(str::trim_end).filter(|line| is_schema(line)) {
        normal.push_str(&without_occasion(line));
        normal.push('\n');
    }
    normal
}

fn is_schema(line: &str) -> bool {
    // mariadb-dump hides `SET` from other servers in `/*!40101 … */`, and so it does with what must be kept:
    // `/*!50003 CREATE TRIGGER … */`. `/*M!999999\- enable the sandbox mode */` is for its own client.
    let hidden = line.strip_prefix("/*!").map(|hidden| hidden.trim_start_matches(|c: char| c.is_ascii_digit()));
    let statement = hidden.map_or(line, str::trim_start);
    // `\restrict TOKEN`: pg_dump since August 2025, with another token in each dump.
    let noise = ["--", "/*M!", "SET ", "SELECT pg_catalog.set_config(", "\\restrict ", "\\unrestrict "];
    !statement.is_empty() && !noise.iter().any(|noise| statement.starts_with(noise))
}

/// Without what tells how many rows there were and when an event was created (MariaDB makes that its start).
fn without_occasion(line: &str) -> String {
    let (mark, counted): (_, fn(char) -> bool) = if line.starts_with(") ENGINE=") {
        (" AUTO_INCREMENT=", |c| c.is_ascii_digit())
    } else if line.starts_with("/*!50106 CREATE*/") {
        (" STARTS '", |c| c.is_ascii_digit() || "-: '".contains(c))
    } else {
        return line.to_owned();
    };
    match line.split_once(mark) {
        Some((before, after)) => format!("{before} {}", after.trim_start_matches(counted).trim_start()),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_schema_is_dropped() {
        let cases = [
            (
                "-- Dumped by pg_dump\n\nSET row_security = off;\n\\restrict a1B\nCREATE TABLE t ();",
                "CREATE TABLE t ();\n",
            ),
            ("/*!40101 SET NAMES utf8mb4 */;\n/*!50003 CREATE*/ x", "/*!50003 CREATE*/ x\n"),
            ("  SET x = 1;\n  -- kept", "  SET x = 1;\n  -- kept\n"),
            (") ENGINE=InnoDB AUTO_INCREMENT=12 DEFAULT CHARSET=x;", ") ENGINE=InnoDB DEFAULT CHARSET=x;\n"),
            (") ENGINE=InnoDB DEFAULT CHARSET=x;", ") ENGINE=InnoDB DEFAULT CHARSET=x;\n"),
            (
                "/*!50106 CREATE*/ EVENT `e` ON SCHEDULE EVERY 1 DAY STARTS '2026-11-21 09:09:50' ON COMPLETION",
                "/*!50106 CREATE*/ EVENT `e` ON SCHEDULE EVERY 1 DAY ON COMPLETION\n",
            ),
        ];
        for (dump, normal) in cases {
            assert_eq!(normalise(dump), normal);
        }
    }
}
