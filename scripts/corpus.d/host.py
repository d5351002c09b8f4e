"""A service that embeds every directory, made in a temporary folder: what a user of the macro would write."""

import json
import shutil
import subprocess
from pathlib import Path

from databases import must, run

MANIFEST = """\
[package]
name = "{package}"
version = "0.0.0"
edition = "2024"
publish = false

[workspace]

[dependencies]
diesel = {{ version = "2.3.14", default-features = false, features = ["sqlite", "postgres", "mysql"] }}
migrator = {{ path = "{root}/migrator", features = ["bundled", "postgres", "mysql", "serde"] }}
serde_json = {{ version = "1", default-features = false, features = ["std", "preserve_order"] }}

# As the workspace of migrator has it, so that what it built serves here too.
[profile.dev.package]
sha2 = {{ opt-level = 3 }}
"""

BUILD = 'fn main() {{\n    println!("cargo::rerun-if-changed=directories\\ncargo::rustc-env=MIGRATOR_TRACKED={}");\n}}\n'

MAIN = """\
//! NAME URL [SESSION SQL]: runs a set twice and tells its status, as one JSON document.
//! --plain PATH SQL: only sends the SQL to a SQLite database, without migrator.

use diesel::connection::{{LoadConnection, SimpleConnection}};
use diesel::prelude::*;
use migrator::{{Dialect, Error, MigrationSet, Migrator, Report, embed_migrations}};
use serde_json::{{Value, json}};

{statics}

static SETS: &[(&str, &MigrationSet)] = &[{sets}];

fn main() {{
    let mut words = std::env::args().skip(1);
    let (name, url) = (words.next().expect("NAME"), words.next().expect("URL"));
    let session = words.next().unwrap_or_default();
    if name == "--plain" {{
        let mut conn = SqliteConnection::establish(&url).expect("a connection");
        return conn.batch_execute(&session).expect("the SQL runs");
    }}
    let (_, set) = SETS.iter().find(|(known, _)| *known == name).expect("a set of that name");
    let document = match url.split_once(':').expect("a URL") {{
        ("postgres", _) => serve(PgConnection::establish(&url).expect("a connection"), set, session),
        ("mysql", _) => serve(MysqlConnection::establish(&url).expect("a connection"), set, session),
        (_, path) => serve(SqliteConnection::establish(path).expect("a connection"), set, session),
    }};
    println!("{{document:#}}");
}}

fn serve<C: LoadConnection<Backend: Dialect>>(mut conn: C, set: &'static MigrationSet, session: String) -> Value {{
    let migrator = Migrator::new(set).session(session, ());
    let first = told(migrator.run(&mut conn));
    let second = told(migrator.run(&mut conn));
    let status = migrator.status(&mut conn).map_or_else(|error| error_of(&error), |status| json!(status));
    json!({{ "runs": [first, second], "status": status, "warnings": set.warnings().collect::<Vec<_>>() }})
}}

fn told(result: Result<Report, Error>) -> Value {{
    match &result {{
        Ok(report) => json!({{ "applied": report.applied(), "skipped": report.skipped(), "error": null }}),
        Err(error) => {{
            let report = error.report();
            let applied = report.map(Report::applied).unwrap_or_default();
            json!({{ "applied": applied, "skipped": report.map_or(0, Report::skipped), "error": error_of(error) }})
        }}
    }}
}}

fn error_of(error: &Error) -> Value {{
    let place = error.place();
    json!({{
        "code": error.code(),
        "file": place.map(|place| &place.file),
        "statement": place.map(|place| &place.statement),
        "message": error.to_string(),
    }})
}}
"""


class Host:
    """The crate, its build, and its program."""

    def __init__(self, root: Path, target: Path, folder: Path, package: str, exported: dict):
        self.folder, self.package, self.target = folder, package, target
        self.program = target / "debug" / package
        (folder / "src").mkdir(parents=True)
        for directory, path in exported.items():
            shutil.copytree(path, folder / "directories" / directory.key)
        keys = {directory.key: directory for directory in exported}
        statics = [
            f'static {key.upper()}: MigrationSet = embed_migrations!("directories/{key}", dialect = "{directory.dialect}");'
            for key, directory in keys.items()
        ]
        sets = ", ".join(f'("{key}", &{key.upper()})' for key in keys)
        (folder / "Cargo.toml").write_text(MANIFEST.format(package=package, root=root))
        (folder / "build.rs").write_text(BUILD.format(",".join(f"directories/{key}" for key in keys)))
        (folder / "src/main.rs").write_text(MAIN.format(statics="\n".join(statics), sets=sets))
        shutil.copy(root / "Cargo.lock", folder / "Cargo.lock")

    def build(self) -> subprocess.CompletedProcess:
        command = ["cargo", "build", "--quiet", "--manifest-path", self.folder / "Cargo.toml", "--message-format", "json"]
        return run([*command, "--target-dir", self.target])

    def clean(self):
        """The crate's folder has another name each time, and cargo would keep each binary."""
        run(["cargo", "clean", "--quiet", "--manifest-path", self.folder / "Cargo.toml", "--target-dir", self.target, "-p", self.package])

    def serve(self, directory, url) -> dict:
        return json.loads(must([self.program, directory.key, url, directory.session]))


def diagnostics(build: subprocess.CompletedProcess, level: str) -> list[str]:
    """The texts of the compiler's errors or warnings."""
    documents = (json.loads(line) for line in build.stdout.splitlines() if line.startswith("{"))
    messages = [document["message"] for document in documents if document.get("reason") == "compiler-message"]
    return [message["rendered"] for message in messages if message["level"] == level]
