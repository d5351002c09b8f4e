use migrator::{MigrationSet, embed_migrations};

static MIGRATIONS: MigrationSet = embed_migrations!("dirs/diesel", unsealed = "deny");

fn main() {
    assert!(!MIGRATIONS.is_empty());
}
