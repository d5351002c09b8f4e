use migrator::{MigrationSet, embed_migrations};

static MIGRATIONS: MigrationSet = embed_migrations!("dirs/prisma/migration_lock.toml");

fn main() {
    assert_eq!(MIGRATIONS.len(), 1);
}
