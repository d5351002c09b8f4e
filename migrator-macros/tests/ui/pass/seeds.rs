// Without a database the connection can be anything.
use migrator::seed::checked;
use migrator::{Seed, SeedError, SeedResult, seed, seed_file};

struct Conn;

/// What it does.
#[seed]
fn roles(conn: &mut Conn) -> SeedResult {
    let _ = conn;
    Ok(1)
}

fn holds(_conn: &mut Conn) -> Result<bool, SeedError> {
    Ok(true)
}

#[seed(
    name = "the admin",
    version = "2",
    depends_on = [ROLES],
    environments = [development, test],
    mode = ensure,
    phase = background,
    critical = false,
    verify = holds,
    deadline = 30,
    files = ["dirs/seeds/020_countries.csv"],
)]
pub(crate) fn admin(_: &mut Conn) -> migrator::SeedResult {
    let text: u64 = "7".parse()?;
    Ok(text)
}

#[seed(transaction = false, verify = self::holds)]
fn r#type(mut _conn: &'_ mut Conn,) -> Result<u64, SeedError> {
    Ok(0)
}

mod elsewhere {
    use super::Conn;

    #[migrator::seed(depends_on = [super::ROLES, super::ADMIN], phase = background)]
    pub fn late(_conn: &mut Conn) -> migrator::SeedResult {
        Ok(0)
    }
}

const SCRIPT: Seed<Conn> = seed_file!("dirs/seeds/010_roles.sql").depends_on(&[ADMIN_ROLES]);
const ADMIN_ROLES: Seed<Conn> = ROLES;
const COUNTRIES: Seed<Conn> = seed_file!("dirs/seeds/020_countries.csv", key = ["code"], table = "country", existing = update);
const PEOPLE: Seed<Conn> = seed_file!("dirs/seeds/030_people.json", key = ["name", "age"]);

static SEEDS: &[Seed<Conn>] = checked(&[ROLES, ADMIN, TYPE, elsewhere::LATE, COUNTRIES, PEOPLE]);

fn main() {
    let names: Vec<&str> = SEEDS.iter().map(Seed::name).collect();
    assert_eq!(names, ["roles", "the admin", "type", "late", "countries", "people"]);
    assert_eq!(SCRIPT.name(), "roles");
    assert_eq!(roles(&mut Conn).unwrap(), 1);
    assert_eq!(admin(&mut Conn).unwrap(), 7);
    assert_eq!(r#type(&mut Conn).unwrap(), 0);
}
