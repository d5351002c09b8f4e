extern crate migrator as m;

mod database {
    pub use m::embed_migrations as embed;
    pub mod prelude {
        pub use m::*;
    }
}

static RENAMED: m::MigrationSet = m::embed_migrations!("dirs/flat");
static EXPORTED: m::MigrationSet = database::embed!("dirs/flat");
static PRELUDE: m::MigrationSet = database::prelude::embed_migrations!("dirs/flat");

fn main() {
    assert_eq!(RENAMED.fingerprint(), EXPORTED.fingerprint());
    assert_eq!(RENAMED.fingerprint(), PRELUDE.fingerprint());
}
