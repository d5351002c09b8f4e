//! Creates or updates `quickstart.db`, prints what it did, and is done.

use diesel::prelude::*;
use migrator::{MigrationSet, Migrator, embed_migrations};

static MIGRATIONS: MigrationSet = embed_migrations!("migrations");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut conn = SqliteConnection::establish("quickstart.db")?;
    let report = Migrator::new(&MIGRATIONS).run(&mut conn)?;
    println!("{report}");
    Ok(())
}
