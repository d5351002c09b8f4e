use migrator::{MigrationSet, embed_migrations};

static STATIC: MigrationSet = embed_migrations!("dirs/flat");
const CONST: MigrationSet = embed_migrations!("dirs/flat");
static TWO: [MigrationSet; 2] = [embed_migrations!("dirs/flat"), embed_migrations!("dirs/diesel")];

struct Service {
    migrations: MigrationSet,
}

impl Service {
    const MIGRATIONS: MigrationSet = embed_migrations!("dirs/flat");

    const fn new() -> Self {
        Self { migrations: embed_migrations!("dirs/flat") }
    }
}

fn generic<T>(_: T) -> &'static MigrationSet {
    static LOCAL: MigrationSet = embed_migrations!("dirs/flat");
    &LOCAL
}

fn main() {
    let local = embed_migrations!("dirs/flat");
    let known = STATIC.fingerprint();
    for set in [&CONST, &TWO[0], &Service::MIGRATIONS, &Service::new().migrations, generic(1), generic(""), &local] {
        assert_eq!(set.fingerprint(), known);
    }
    assert_eq!(embed_migrations!("dirs/flat").clone().len(), 3);
    assert_eq!(TWO[1].len(), 2);
}
