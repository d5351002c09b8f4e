use migrator::{SeedResult, seed};

#[seed(depends_on = [ROLS])]
fn admin(_conn: &mut ()) -> SeedResult {
    Ok(0)
}

#[seed]
fn roles(_conn: &mut ()) -> SeedResult {
    Ok(0)
}

fn main() {
    let _ = (ADMIN, ROLES);
}
