use migrator::{MigrationSet, embed_migrations};

static MIGRATIONS: MigrationSet = embed_migrations!();

fn main() {
    assert_eq!(MIGRATIONS.get(0).map(|first| first.path()).as_deref(), Some("migrations/20240101000000_create_users/up.sql"));
}
