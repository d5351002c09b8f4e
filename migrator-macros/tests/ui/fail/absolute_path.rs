use migrator::{MigrationSet, embed_migrations};

static MIGRATIONS: MigrationSet = embed_migrations!("/srv/app/migrations");

fn main() {
    assert_eq!(MIGRATIONS.len(), 1);
}
