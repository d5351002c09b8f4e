//! What keeps Prisma's own tools from dropping the history.

use std::fs;
use std::path::{Path, PathBuf};

use migrator_source::fault::Fault;
use migrator_source::layout::File;

use crate::history::{HISTORY, LEDGER, LOCK, META};

/// Where Prisma looks for its configuration, from the folder of its schema or the one above.
const CONFIGS: [&str; 6] = [
    "prisma.config.ts",
    "prisma.config.mts",
    "prisma.config.cts",
    "prisma.config.js",
    "prisma.config.mjs",
    ".config/prisma.ts",
];

/// The lines for prisma.config.ts, in front of them why.
pub(super) fn advice(files: &[File]) -> String {
    format!(
        "Prisma's `migrate dev` and `db push` take tables that they do not know for drift. Put this into prisma.config.ts:\n{}",
        lines(files)
    )
}

/// A warning for a directory that Prisma works on without being told of our tables.
pub(super) fn careless(dir: &Path, files: &[File]) -> Option<Fault> {
    let above: Vec<PathBuf> = dir.ancestors().skip(1).take(2).map(Path::to_owned).collect();
    let configs = above.iter().flat_map(|folder| CONFIGS.map(|config| folder.join(config)));
    let found = configs.filter_map(|config| Some((fs::read_to_string(&config).ok()?, config))).next();
    let what = match found {
        Some((text, _)) if text.contains(HISTORY) => return None,
        Some((_, config)) => format!("{} does not name our tables", config.display()),
        None if above.first()?.join("schema.prisma").is_file() => "there is no prisma.config.ts".to_owned(),
        None => return None,
    };
    let message = format!("{what}: Prisma's `migrate dev` and `db push` take them for drift, and drop them");
    Some(Fault::new("prisma_external", "", message, format!("put this into prisma.config.ts:\n{}", lines(files))))
}

fn lines(files: &[File]) -> String {
    // There each name has its schema.
    let is_postgres = |file: &File| String::from_utf8_lossy(&file.bytes).contains("\"postgres");
    let on_postgres = files.iter().any(|file| file.path == "migration_lock.toml" && is_postgres(file));
    let schema = if on_postgres { "public." } else { "" };
    let names = [HISTORY, META, LEDGER, LOCK].map(|table| format!("'{schema}{table}'")).join(", ");
    format!("  experimental: {{ externalTables: true }},\n  tables: {{ external: [{names}] }},")
}
