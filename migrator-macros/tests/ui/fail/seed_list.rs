use migrator::seed::checked;
use migrator::{Seed, SeedResult, seed};

#[seed]
fn roles(_conn: &mut ()) -> SeedResult {
    Ok(0)
}

#[seed(name = "roles")]
fn more(_conn: &mut ()) -> SeedResult {
    Ok(0)
}

#[seed(depends_on = [ROLES])]
fn admin(_conn: &mut ()) -> SeedResult {
    Ok(0)
}

static TWICE: &[Seed<()>] = checked(&[ROLES, MORE]);
static MISSING: &[Seed<()>] = checked(&[ADMIN]);

fn main() {}
