//! A folder with migrations, and the tool that is started in it.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// The tool under test.
pub(crate) const TOOL: &str = env!("CARGO_BIN_EXE_migrator");

/// Migrations that every database takes.
pub(crate) const FIRST: (&str, &str) = ("20240101000000_users", "CREATE TABLE users (id INTEGER PRIMARY KEY);\n");
pub(crate) const SECOND: (&str, &str) = ("20240102000000_posts", "CREATE TABLE posts (id INTEGER PRIMARY KEY);\n");
pub(crate) const THIRD: (&str, &str) = ("20240103000000_tags", "CREATE TABLE tags (id INTEGER PRIMARY KEY);\n");

/// A folder with a migrations directory in the diesel layout.
pub(crate) struct Project(tempfile::TempDir);

impl Project {
    /// Without a migrations directory.
    pub(crate) fn empty() -> Self {
        Self::new(&[])
    }

    pub(crate) fn new(migrations: &[(&str, &str)]) -> Self {
        let project = Self(tempfile::tempdir().expect("a temporary folder can be made"));
        migrations.iter().for_each(|(name, up)| project.write(name, up));
        project
    }

    pub(crate) fn write(&self, name: &str, up: &str) {
        let folder = self.path().join("migrations").join(name);
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        std::fs::write(folder.join("up.sql"), up).expect("a script can be written");
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs the tool in the folder, in an environment without any variable of ours.
    pub(crate) fn migrator(&self, url: &str, args: &[&str]) -> Answer {
        self.with_env(&[("DATABASE_URL", url)], args)
    }

    pub(crate) fn with_env(&self, env: &[(&str, &str)], args: &[&str]) -> Answer {
        let mut command = self.command(args);
        Answer(command.envs(env.iter().copied()).output().expect("the tool can be started"))
    }

    /// The tool, not started yet.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(TOOL);
        command.current_dir(self.path()).args(args);
        for name in ["DATABASE_URL", "MIGRATION_DATABASE_URL", "MIGRATOR_ENV", "NO_COLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        command
    }
}

pub(crate) struct Answer(Output);

impl Answer {
    pub(crate) fn code(&self) -> i32 {
        self.0.status.code().expect("the tool exits by itself")
    }

    pub(crate) fn out(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).expect("stdout is text")
    }

    pub(crate) fn err(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).expect("stderr is text")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out()).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.out(), self.err()))
    }

    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "stdout: {}\nstderr: {}", self.out(), self.err());
        self
    }
}
