//! SQLite databases, each in a folder of its own.

use std::{
    env,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use diesel::SqliteConnection;
use tempfile::TempDir;

use crate::{
    Database, database,
    dump::{Table, is_tool_table},
    servers::Supervisor,
};

/// Makes an empty database.
pub fn fresh() -> FreshDatabase {
    // One folder per process around them all, so that `kill -9` of the process leaves nothing here either.
    static SUPERVISOR: OnceLock<Supervisor> = OnceLock::new();
    let supervisor = SUPERVISOR.get_or_init(|| Supervisor::start(&env::temp_dir()));
    let folder = tempfile::Builder::new().prefix("sqlite-").tempdir_in(supervisor.folder()).expect("make a folder");
    let path = folder.path().join("test.db").into_os_string().into_string().expect("the path is UTF-8");
    FreshDatabase { path, folder }
}

/// A database file that is removed on drop, with its journal, WAL and whatever else is beside it.
///
/// The file itself appears with the first connection.
#[derive(Debug)]
pub struct FreshDatabase {
    path: String,
    folder: TempDir,
}

impl FreshDatabase {
    /// The database file.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(&self.path)
    }

    /// The folder of the file. It holds nothing that is not this database's and may be made read-only or filled up.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Database for FreshDatabase {
    type Connection = SqliteConnection;

    fn name(&self) -> &str {
        &self.path
    }

    fn url(&self) -> &str {
        &self.path
    }

    fn tables(&self) -> Vec<Table> {
        let names = self.texts(
            r"SELECT name AS value FROM sqlite_schema
              WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name",
        );
        let table = |name: String| Table { quoted: format!(r#""{}""#, name.replace('"', r#""""#)), name };
        names.into_iter().filter(|name| !is_tool_table(name)).map(table).collect()
    }

    /// `sqlite_schema` in the order of names. An index that SQLite makes by itself is in its table's text.
    fn dump(&self) -> String {
        let lines = self.texts(
            "SELECT tbl_name || char(31) || sql AS value FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name",
        );
        let entries = lines.iter().filter_map(|line| line.split_once('\u{1f}'));
        let schema = entries.filter(|(owner, _)| !is_tool_table(owner) && !owner.starts_with("sqlite_"));
        schema.map(|(_, text)| format!("{text};\n")).collect()
    }

    fn texts(&self, query: &str) -> Vec<String> {
        database::texts(&mut self.connect(), query)
    }
}
