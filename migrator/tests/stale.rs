//! A binary that was built before a migration was added says so when cargo starts it.

use std::path::Path;
use std::process::Command;

use diesel::{Connection, SqliteConnection};
use migrator::{MigrationSet, Migrator, embed_migrations};

#[expect(deprecated, reason = "this package has no build script to watch the example for it")]
static MIGRATIONS: MigrationSet = embed_migrations!("../examples/quickstart/migrations");

/// Runs the embedded set in a process that cargo seems to have started from another copy of the package.
fn started_from(copy: &Path) -> String {
    let test = std::env::current_exe().expect("the test knows its own file");
    let mut command = Command::new(test);
    command.args(["--exact", "prints_its_warnings", "--nocapture"]);
    command.env("CARGO_MANIFEST_DIR", copy.join("migrator")).env("CARGO_PKG_NAME", env!("CARGO_PKG_NAME"));
    let output = command.output().expect("the test can be started");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn prints_its_warnings() {
    let mut conn = SqliteConnection::establish(":memory:").expect("memory is there");
    let report = Migrator::new(&MIGRATIONS).run(&mut conn).expect("the set runs");
    assert_eq!(report.applied().len(), MIGRATIONS.len());
    println!("warnings: {:?}", report.warnings());
}

#[test]
fn a_new_file_that_is_not_in_the_binary_is_a_warning() {
    let copy = tempfile::tempdir().expect("a temporary folder can be made");
    let migrations = copy.path().join("examples/quickstart/migrations");
    std::fs::create_dir(copy.path().join("migrator")).expect("a folder can be made");
    for migration in MIGRATIONS.iter() {
        let folder = migrations.join(migration.name());
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        std::fs::write(folder.join("up.sql"), migration.up()).expect("a script can be written");
    }
    assert!(started_from(copy.path()).contains("warnings: []"), "the same files are no news");
    std::fs::create_dir(migrations.join("20990101000000_new")).expect("a folder can be made");
    std::fs::write(migrations.join("20990101000000_new/up.sql"), "SELECT 1;").expect("a script can be written");
    let printed = started_from(copy.path());
    assert!(printed.contains("20990101000000_new is in the directory and not in the binary"), "{printed}");
}
