"""The list: which directories of which repositories, and what has to come of each."""

import io
import re
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Applies:
    """All of them are applied, and the database equals what the plain client makes."""

    count: int


@dataclass(frozen=True)
class Fails:
    """What comes before is applied, then one script fails: for the plain client and for us, at the same script."""

    count: int
    """How many migrations the directory has."""
    at: int
    """The 1-based place of the one that fails."""
    statement: str
    """Words of the statement that the error must show."""
    words: str
    """The database's own words that the error must show."""
    after: str = "pending"
    """The state that `status` tells afterwards."""


@dataclass(frozen=True)
class Refused:
    """The directory is refused before anything is touched: when it is read, and when it is compiled in."""

    count: int
    """How many migrations the other tool counts in it."""
    names: str
    """What the message must name."""


@dataclass(frozen=True)
class Directory:
    name: str
    repo: str
    commit: str
    path: str
    layout: str
    dialect: str
    expect: Applies | Fails | Refused
    session: str = ""
    """SQL for the session that migrates, for us and for the plain client."""
    mended: tuple = ()
    """Scripts of SQLite that leave rows without their parent, and how many later ones mend it. Such a one is refused alone."""
    random: tuple = ()
    """Tables of SQLite into which a script puts random values: their rows are counted and not compared."""
    bundled: bool = False
    """The plain client has to be the bundled SQLite, since Debian's is too old for the scripts."""
    newer: bool = False
    """Needs a newer PostgreSQL than Debian's: `--newer-postgres`."""
    before: str = ""
    """SQL for the plain client before the first script: what the directory takes for granted of its own tool."""
    note: str = ""

    @property
    def server(self):
        return "newer-postgres" if self.newer else self.dialect

    @property
    def key(self):
        """A name for databases and Rust statics."""
        return self.name.replace("-", "_").replace(".", "_")


APALIS = ("geofmureithi/apalis", "49f90e1304f8f218eb08ce6ca0f1b4934f3ed011")
ATUIN = ("atuinsh/atuin", "824c8716d82bed774ee6a83c683087ae77715814")
AUTHELIA = ("authelia/authelia", "23572030b4048922a377ca40d59e804e0ed25fd7")
CRATES_IO = ("rust-lang/crates.io", "57fa000662f511321daa61e6769f190ea0e80771")
DIESEL = ("diesel-rs/diesel", "04cc1b0bc6578021db542464e6cd1a21e0d39235")
HOMARR = ("homarr-labs/homarr", "464d98e124726f30c5f92ccf18a5ebff71e0cdd9")
IXSTATS = ("algolds/ixstats", "273436c10898b1a32d25f61e53848d9521d49b40")
LEMMY = ("LemmyNet/lemmy", "439734dd638a2c06a2f907beab7dcf4646e88f86")
LEMMY_019 = ("LemmyNet/lemmy", "e9d49b7b49f4751b924263fdebfc1af2a387eda9")
MEMOS = ("usememos/memos", "76a762924306e782871204f131f4033be5e8e41a")
OPENFGA = ("openfga/openfga", "da9354f7e6704cef47e620ffa2e08212c08d5ad3")
PLUME = ("Plume-org/Plume", "befea20fdfb279c30cf2e61a98a2d52ed17752d8")
RAUTHY = ("sebadob/rauthy", "f6223305c1b2183bb8fa9e24e3ed44045a6c26a2")
RIVER = ("riverqueue/river", "fdf6cdf12567a5b70c003f5ff850273f09e7efcf")
SYNCSTORAGE = ("mozilla-services/syncstorage-rs", "0d4b14c30992f8074dcddba90612bdd7b1ceaa8c")
UMAMI = ("umami-software/umami", "c0ea3aefbee7a3429ee2f824b06dc4a9dbe0b7e1")
VAULTWARDEN = ("dani-garcia/vaultwarden", "46d71107f5094460dd5ecbe1dbac6e6c71e5189a")

DIRECTORIES = [
    Directory(
        "vaultwarden-sqlite", *VAULTWARDEN, "migrations/sqlite", "diesel", "sqlite", Applies(56),
        mended=(("2018-04-27-155151_create_users_ciphers/up.sql", 2),), random=("twofactor",),
    ),
    Directory("plume-sqlite", *PLUME, "migrations/sqlite", "diesel", "sqlite", Applies(37)),
    Directory("dieselrepo-sqlite", *DIESEL, "migrations/sqlite", "diesel", "sqlite", Applies(15)),
    Directory("atuin-client-sqlite", *ATUIN, "crates/atuin-client/migrations", "flat", "sqlite", Applies(12)),
    Directory("atuin-record-sqlite", *ATUIN, "crates/atuin-client/record-migrations", "flat", "sqlite", Applies(3)),
    Directory("atuin-meta-sqlite", *ATUIN, "crates/atuin-client/meta-migrations", "flat", "sqlite", Applies(1)),
    Directory("atuin-server-sqlite", *ATUIN, "crates/atuin-server-sqlite/migrations", "flat", "sqlite", Applies(7)),
    Directory("apalis-sqlite", *APALIS, "packages/apalis-sql/migrations/sqlite", "flat", "sqlite", Applies(2)),
    Directory(
        "authelia-sqlite", *AUTHELIA, "internal/storage/migrations/sqlite", "flat", "sqlite",
        Fails(26, at=2, statement="BIN2B64", words="no such function: BIN2B64"),
        note="the application registers the function",
    ),
    Directory(
        "river-sqlite", *RIVER, "riverdriver/riversqlite/migration/main", "flat", "sqlite", Applies(7),
        bundled=True, note="jsonb() needs SQLite >= 3.45, which the bundled one is: it is the plain client here",
    ),
    Directory("vaultwarden-pg", *VAULTWARDEN, "migrations/postgresql", "diesel", "postgres", Applies(46)),
    Directory("cratesio-pg", *CRATES_IO, "migrations", "diesel", "postgres", Applies(285)),
    Directory("lemmy019-pg", *LEMMY_019, "migrations", "diesel", "postgres", Applies(233)),
    Directory(
        "lemmy-pg", *LEMMY, "migrations", "diesel", "postgres",
        Fails(342, at=248, statement="FROM", words="subquery in FROM must have an alias"),
        note="PostgreSQL >= 16 only",
    ),
    Directory(
        "lemmy-newer-pg", *LEMMY, "migrations", "diesel", "postgres", Applies(342),
        session="SELECT pg_advisory_lock(0)", newer=True,
        before="CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY)",
        note="its trigger on diesel's table wants lock 0 held by who writes there; it needs a superuser",
    ),
    Directory("plume-pg", *PLUME, "migrations/postgres", "diesel", "postgres", Applies(59)),
    Directory("dieselrepo-pg", *DIESEL, "migrations/postgres", "diesel", "postgres", Applies(23)),
    Directory("syncstorage-pg", *SYNCSTORAGE, "syncstorage-postgres/migrations", "diesel", "postgres", Applies(1)),
    Directory("tokenserver-pg", *SYNCSTORAGE, "tokenserver-postgres/migrations", "diesel", "postgres", Applies(1)),
    Directory("atuin-server-pg", *ATUIN, "crates/atuin-server-postgres/migrations", "flat", "postgres", Applies(20)),
    Directory("apalis-pg", *APALIS, "packages/apalis-sql/migrations/postgres", "flat", "postgres", Applies(10)),
    Directory("rauthy-pg", *RAUTHY, "migrations/postgres", "flat", "postgres", Applies(26)),
    Directory("authelia-pg", *AUTHELIA, "internal/storage/migrations/postgres", "flat", "postgres", Applies(26)),
    Directory("umami-pg", *UMAMI, "prisma/migrations", "prisma", "postgres", Applies(19)),
    Directory(
        "river-pg", *RIVER, "riverdriver/riverpgxv5/migration/main", "flat", "postgres",
        Fails(7, at=5, statement="TEMPLATE: schema", words="invalid name syntax"),
        note="templates, which the application fills in",
    ),
    Directory(
        "vaultwarden-mysql", *VAULTWARDEN, "migrations/mysql", "diesel", "mysql", Applies(55),
        session="SET FOREIGN_KEY_CHECKS=0",
    ),
    Directory(
        "vaultwarden-mysql-checked", *VAULTWARDEN, "migrations/mysql", "diesel", "mysql",
        Fails(55, at=1, statement="CREATE TABLE", words="errno: 150", after="blocked"),
        note="the same without session SQL",
    ),
    Directory("dieselrepo-mysql", *DIESEL, "migrations/mysql", "diesel", "mysql", Applies(13)),
    Directory(
        "authelia-mysql", *AUTHELIA, "internal/storage/migrations/mysql", "flat", "mysql", Applies(26),
        note="stored procedures without DELIMITER: the plain client gets that script whole",
    ),
    Directory(
        "apalis-mysql", *APALIS, "packages/apalis-sql/migrations/mysql", "flat", "mysql",
        Fails(3, at=1, statement="utf8mb4_0900_ai_ci", words="Unknown collation"),
        note="MySQL 8 only",
    ),
    Directory("homarr-sqlite", *HOMARR, "packages/db/migrations/sqlite", "drizzle", "sqlite", Refused(42, "drizzle")),
    Directory("homarr-mysql", *HOMARR, "packages/db/migrations/mysql", "drizzle", "mysql", Refused(44, "drizzle")),
    Directory("homarr-pg", *HOMARR, "packages/db/migrations/postgresql", "drizzle", "postgres", Refused(10, "drizzle")),
    Directory("openfga-sqlite", *OPENFGA, "assets/migrations/sqlite", "goose", "sqlite", Applies(2)),
    Directory("openfga-pg", *OPENFGA, "assets/migrations/postgres", "goose", "postgres", Applies(6)),
    Directory(
        "openfga-mysql", *OPENFGA, "assets/migrations/mysql", "goose", "mysql",
        Fails(8, at=7, statement="DROP INDEX", words="error in your SQL syntax", after="blocked"),
        note="MySQL 8 only",
    ),
    Directory(
        "ixstats-pg", *IXSTATS, "prisma/migrations", "prisma", "postgres",
        Fails(12, at=1, statement="AUTOINCREMENT", words='syntax error at or near "AUTOINCREMENT"'),
        note="the lock file says postgresql, and the SQL is SQLite's",
    ),
    Directory("ixstats-sqlite", *IXSTATS, "prisma/migrations", "prisma", "sqlite", Refused(12, "migration_lock.toml"), note="the same"),
    Directory("memos-sqlite", *MEMOS, "store/migration/sqlite", "memos", "sqlite", Refused(1, "LATEST.sql")),
    Directory("memos-mysql", *MEMOS, "store/migration/mysql", "memos", "mysql", Refused(1, "LATEST.sql")),
    Directory("memos-pg", *MEMOS, "store/migration/postgres", "memos", "postgres", Refused(1, "LATEST.sql")),
]


class Missing(Exception):
    """The copy of the repository, or the commit in it, is not there."""


def export(folder: Path, directory: Directory, into: Path) -> Path:
    """Copies the directory as it is at its commit into `into/NAME`, and returns that path."""
    repo = folder / directory.repo.replace("/", "+") / "repo"
    git_dir = repo / ".git" if (repo / ".git").is_dir() else repo
    if not git_dir.is_dir():
        raise Missing(f"{repo} is not there")
    # The copy may belong to another user; nothing but its objects is read.
    command = ["git", "-c", f"safe.directory={git_dir}", f"--git-dir={git_dir}"]
    archive = subprocess.run([*command, "archive", f"{directory.commit}:{directory.path}"], capture_output=True)
    if archive.returncode != 0:
        raise Missing(f"{repo} has no {directory.commit[:8]}:{directory.path}: {archive.stderr.decode().strip()}")
    target = into / directory.key
    target.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(target, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    return target


@dataclass(frozen=True)
class File:
    """One script, for the plain client."""

    path: Path
    in_transaction: bool
    until: str = ""
    """The line, as a pattern, at which the way down begins in the same file."""

    @property
    def sql(self) -> str:
        text = self.path.read_text(encoding="utf-8")
        return re.split(self.until, text, maxsplit=1)[0] if self.until else text


@dataclass(frozen=True)
class Text:
    """SQL that stands in no file, for the plain client."""

    sql: str
    in_transaction: bool = True


def scripts(directory: Directory, at: Path) -> list[File]:
    """The up scripts in the order in which the directory's own tool runs them; written apart from migrator's reader on purpose."""
    if directory.layout == "diesel":
        folders = [path.parent for path in at.glob("*/up.sql")]
        folders.sort(key=lambda folder: folder.name.split("_")[0].replace("-", ""))
        return [File(folder / "up.sql", _in_transaction(folder)) for folder in folders]
    if directory.layout == "prisma":
        return [File(path, True) for path in sorted(at.glob("*/migration.sql"), key=lambda path: path.parent.name.encode())]
    numbered = [(re.match(r"V?(\d+)", path.name), path) for path in at.glob("*.sql") if not path.name.endswith(".down.sql")]
    ups = sorted((int(match[1]), path) for match, path in numbered if match)
    if directory.layout == "goose":
        no_transaction = re.compile(r"(?m)^-- \+goose NO TRANSACTION$")
        return [File(path, not no_transaction.search(path.read_text()), r"(?m)^-- \+goose Down$") for _, path in ups]
    return [File(path, True) for _, path in ups]


def _in_transaction(folder: Path) -> bool:
    metadata = folder / "metadata.toml"
    return not (metadata.is_file() and re.search(r"run_in_transaction\s*=\s*false", metadata.read_text()))
