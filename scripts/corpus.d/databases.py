"""Private, throw-away servers, and what the plain clients do with a database: make it, feed it, tell what is in it."""

import os
import pwd
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

# Ours, and those that we keep in step with other tools.
OURS = (
    "__migrator_history", "__migrator_seeds", "__migrator_lock", "__migrator_meta", "__diesel_schema_migrations", "_prisma_migrations",
)


def run(command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, encoding="utf-8", **options)


def must(command, **options):
    done = run(command, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def user_for(name: str):
    """The user that a server runs as: this one, except that root has to be somebody else."""
    try:
        return pwd.getpwnam(name) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    except KeyError as error:
        raise RuntimeError(f"there is no user {name}: apt-get install postgresql mariadb-server") from error


def stop_in_order():
    """From here on an end by signal is one that unwinds: it stops the servers too, and nothing stops that."""

    def stop(number, _frame):
        signal.signal(number, signal.SIG_IGN)
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


def start(stack, kind, folder: Path, *programs):
    """Starts a server that is stopped with the stack."""
    server = kind.__new__(kind)
    server.process = None
    # First the way to stop it, then the start: a start that fails half-way is stopped too.
    stack.callback(server.stop)
    server.__init__(folder, *programs)
    return server


def wait_until(answers, server: subprocess.Popen, log: Path):
    for _ in range(600):
        if answers():
            return
        if server.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError(f"the server did not start; {log} ends with:\n{log.read_text()[-2000:]}")


class Server:
    """A server process in a folder of its own. It listens on a Unix socket there and on a free port of 127.0.0.1."""

    def __init__(self, folder: Path, user: str):
        self.user = user_for(user)
        self.folder = folder
        self.folder.mkdir()
        os.chown(folder, self.user.pw_uid, self.user.pw_gid)
        self.data, self.log, self.port = folder / "data", folder / "log", free_port()
        self.process = None

    def as_user(self, command):
        return ["runuser", "-u", self.user.pw_name, "--", *command] if os.geteuid() == 0 else command

    def start(self, command, answers):
        as_user = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        with self.log.open("wb") as log:
            # In a process group of its own, so that Ctrl-C reaches this script first and the server is stopped in order.
            self.process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.folder, start_new_session=True, **as_user,
            )
        wait_until(answers, self.process, self.log)

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(self.STOP)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Postgres(Server):
    name = "PostgreSQL"
    STOP = 3  # SIGQUIT: at once; the data is thrown away

    def __init__(self, folder: Path, programs: Path | None = None):
        super().__init__(folder, "postgres")
        self.bin = programs or self._bin()
        # The dump tool that is installed does not read what is newer than itself.
        self.can_dump = programs is None
        must(self.as_user([self.bin / "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]), cwd="/")
        settings = {
            "port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": self.folder,
            "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.start([self.bin / "postgres", "-D", self.data, *options], lambda: run(self._psql("postgres", "-c", "SELECT 1")).returncode == 0)
        # Not a superuser: what the owner of a database may do has to be enough. Only lemmy's HEAD switches system triggers off.
        self._admin(f"CREATE ROLE corpus LOGIN {'SUPERUSER' if programs else ''}")
        self.version = self._admin("SHOW server_version").split()[0]

    @staticmethod
    def _bin() -> Path:
        on_path = shutil.which("postgres")
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
        if not on_path and not found:
            raise RuntimeError("no PostgreSQL server is installed: apt-get install postgresql")
        return Path(on_path).parent if on_path else found[-1].parent

    def _psql(self, database, *words, user="postgres"):
        return ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-p", self.port, "-U", user, "-d", database, *words]

    def _admin(self, sql):
        return must(self._psql("postgres", "-c", sql))

    def create(self, name) -> str:
        self._admin(f'CREATE DATABASE "{name}" OWNER corpus TEMPLATE template0')
        return f"postgres://corpus@127.0.0.1:{self.port}/{name}"

    def apply(self, name, file, session):
        """One script, as the plain client runs it."""
        words = (["-1"] if file.in_transaction else []) + (["-c", session] if session else [])
        env = {**os.environ, "PGOPTIONS": "-c client_min_messages=warning"}
        return run(self._psql(name, *words, "-f", "-", user="corpus"), input=file.sql, env=env)

    def schema(self, name) -> list[str]:
        if not self.can_dump:
            return must(self._psql(name), input=CATALOGUE).splitlines()
        ours = [word for table in OURS for word in ("-T", f"*.{table}")]
        dump = must(["pg_dump", "-s", "-h", self.folder, "-p", self.port, "-U", "postgres", *ours, name])
        # `\restrict` guards psql, with another token in each dump.
        return _without(dump, ("--", "SET ", "SELECT pg_catalog.set_config", "\\restrict", "\\unrestrict"))

    def rows(self, name) -> dict[str, int]:
        counts = """SELECT format('SELECT %L, count(*) FROM %I.%I', n.nspname || '.' || c.relname, n.nspname, c.relname)
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^(pg_|information_schema$)' AND c.relname !~ '^_(_migrator_|_diesel_schema|prisma_migrations)'
            ORDER BY 1 \\gexec\n"""
        lines = must(self._psql(name, "-F", "\t"), input=counts).splitlines()
        return {table: int(count) for table, count in (line.rsplit("\t", 1) for line in lines)}

    def is_empty(self, name) -> bool:
        made = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname !~ '^(pg_|information_schema$)'"
        return must(self._psql(name, "-c", made)).strip() == "0"


# What a schema is, one line each, where no dump tool reads the server.
CATALOGUE = r"""
    WITH mine AS (SELECT oid FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$)'),
    tables AS (SELECT oid FROM pg_class WHERE relnamespace IN (SELECT oid FROM mine) AND relname !~ '^_(_migrator_|_diesel_schema|prisma_migrations)')
    SELECT replace(line, E'\n', ' ') FROM (
        SELECT format('column %s.%s %s %s %s', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull,
                      pg_get_expr(adbin, adrelid)) AS line
        FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE attrelid IN (SELECT oid FROM tables) AND attnum > 0 AND NOT attisdropped
        UNION ALL SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
        FROM pg_constraint WHERE conrelid IN (SELECT oid FROM tables)
        UNION ALL SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid IN (SELECT oid FROM tables)
        UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid IN (SELECT oid FROM tables) AND NOT tgisinternal
        UNION ALL SELECT pg_get_functiondef(p.oid) FROM pg_proc p
        WHERE pronamespace IN (SELECT oid FROM mine) AND prokind <> 'a'
        UNION ALL SELECT 'label ' || enumtypid::regtype || ' ' || enumlabel FROM pg_enum
        UNION ALL SELECT 'view ' || oid::regclass || ' ' || pg_get_viewdef(oid) FROM pg_class
        WHERE relkind IN ('v', 'm') AND oid IN (SELECT oid FROM tables)
        UNION ALL SELECT 'extension ' || extname FROM pg_extension
    ) lines ORDER BY 1;
"""


class MariaDb(Server):
    name = "MariaDB"
    STOP = 9  # the data is thrown away

    def __init__(self, folder: Path):
        super().__init__(folder, "mysql")
        install = [
            "mariadb-install-db", "--no-defaults", f"--datadir={self.data}", "--auth-root-authentication-method=normal",
            "--skip-test-db", "--skip-name-resolve", "--innodb-log-file-size=16M",
        ]
        must(self.as_user(install), cwd="/")
        program = shutil.which("mariadbd") or "/usr/sbin/mariadbd"
        self.socket = folder / "s"
        command = [
            program, "--no-defaults", f"--datadir={self.data}", f"--socket={self.socket}", f"--port={self.port}", "--bind-address=127.0.0.1",
            "--character-set-server=utf8mb4", "--collation-server=utf8mb4_general_ci", "--skip-name-resolve", "--skip-log-bin",
            "--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync", "--innodb-log-file-size=16M", f"--pid-file={folder / 'pid'}",
        ]
        self.start(command, lambda: run(self._client("root", "-e", "SELECT 1")).returncode == 0)
        self._admin("CREATE USER corpus")
        self.version = self._admin("SELECT VERSION()").split("-")[0].strip()

    def _client(self, user, *words):
        return ["mariadb", "--no-defaults", f"--socket={self.socket}", f"--user={user}", "--default-character-set=utf8mb4", "-N", "-B", *words]

    def _admin(self, sql):
        return must(self._client("root", "-e", sql))

    def create(self, name) -> str:
        self._admin(f"CREATE DATABASE `{name}`; GRANT ALL ON `{name}`.* TO corpus")
        return f"mysql://corpus@127.0.0.1:{self.port}/{name}"

    def apply(self, name, file, session):
        """One script, as the plain client runs it. Without DELIMITER lines it would cut a stored program at its first `;`."""
        program = re.search(r"\bCREATE\b[^;]*\b(PROCEDURE|FUNCTION|TRIGGER|EVENT)\b", file.sql, re.IGNORECASE)
        words = [f"--init-command={session}"] if session else []
        words += ["--delimiter=--the whole script--"] if program and "DELIMITER" not in file.sql.upper() else []
        return run(self._client("corpus", *words, name), input=file.sql)

    def schema(self, name) -> list[str]:
        ours = [f"--ignore-table={name}.{table}" for table in OURS]
        words = ["--no-data", "--routines", "--triggers", "--events", "--skip-comments", "--skip-dump-date", *ours, name]
        dump = must(["mariadb-dump", "--no-defaults", f"--socket={self.socket}", "--user=root", *words])
        return _without(dump.replace(f"`{name}`", "`the_database`"), ("--", "SET ", "/*!40101 SET", "/*!40103 SET", "/*!40014 SET", "/*!40111 SET", "/*M!999999"))

    def rows(self, name) -> dict[str, int]:
        tables = self._admin(
            f"SELECT table_name FROM information_schema.tables WHERE table_schema = '{name}' AND table_type = 'BASE TABLE'"
            " AND table_name NOT LIKE '\\_\\_migrator\\_%' AND table_name NOT IN ('__diesel_schema_migrations', '_prisma_migrations') ORDER BY 1"
        ).splitlines()
        counts = " UNION ALL ".join(f"SELECT '{table}', count(*) FROM `{name}`.`{table}`" for table in tables)
        lines = self._admin(counts).splitlines() if counts else []
        return {table: int(count) for table, count in (line.rsplit("\t", 1) for line in lines)}

    def is_empty(self, name) -> bool:
        return self._admin(f"SELECT count(*) FROM information_schema.tables WHERE table_schema = '{name}'").strip() == "0"


class Sqlite:
    name = "SQLite"

    def __init__(self, folder: Path):
        self.folder = folder
        self.folder.mkdir()
        self.version = must(["sqlite3", "--version"]).split()[0]

    def stop(self):
        pass

    def path(self, name) -> Path:
        return self.folder / f"{name}.db"

    def create(self, name) -> str:
        return f"sqlite:{self.path(name)}"

    def apply(self, name, file, session, foreign_keys="OFF"):
        """One script in one transaction, as the plain client runs it. (-bail ends the session, which rolls back.)"""
        return run(["sqlite3", "-batch", "-bail", self.path(name)], input=self.script(file, session, foreign_keys))

    @staticmethod
    def script(file, session, foreign_keys):
        begin, end = ("BEGIN;", "COMMIT;") if file.in_transaction else ("", "")
        return f"PRAGMA foreign_keys = {foreign_keys};\n{session}\n{begin}\n{file.sql}\n;{end}\n"

    def connect(self, name):
        """Python's own connection, which closes itself at the end of `with`."""
        return closing(sqlite3.connect(self.path(name), isolation_level=None))

    def schema(self, name) -> list[str]:
        if self.is_empty(name):
            return []
        with self.connect(name) as db:
            rows = db.execute("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master ORDER BY 1, 2, 3").fetchall()
        return [" | ".join(row) for row in rows if row[2] not in OURS]

    def rows(self, name) -> dict[str, int]:
        if self.is_empty(name):
            return {}
        with self.connect(name) as db:
            tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
            names = [table for (table,) in tables.fetchall() if table not in OURS]
            return {table: db.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0] for table in sorted(names)}

    def is_empty(self, name) -> bool:
        return not self.path(name).exists() or self.path(name).stat().st_size == 0


class BundledSqlite(Sqlite):
    """The SQLite that is compiled into migrator, without migrator: each script is sent as it is by the service's program."""

    def __init__(self, sqlite: Sqlite, program: Path):
        self.folder, self.program = sqlite.folder, program

    def apply(self, name, file, session, foreign_keys="OFF"):
        return run([self.program, "--plain", self.path(name), self.script(file, session, foreign_keys)])


def _without(dump: str, beginnings) -> list[str]:
    return [line for line in dump.splitlines() if line.strip() and not line.startswith(beginnings)]
