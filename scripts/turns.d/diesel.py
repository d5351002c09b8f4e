"""Turns with diesel's command line."""

import re
import subprocess

from databases import must, run
from turns import Turns


class Diesel(Turns):
    def __init__(self, tools, server, folder):
        super().__init__(tools, server, folder)
        # diesel's command line looks for a project here.
        (folder / "diesel.toml").touch()

    def add(self, *numbers):
        for number in numbers:
            one = self.migrations / f"2024010{number}000000_t{number}"
            one.mkdir()
            (one / "up.sql").write_text(f"CREATE TABLE t{number} (id INTEGER PRIMARY KEY);\n")
            (one / "down.sql").write_text(f"DROP TABLE IF EXISTS t{number};\n")

    def diesel(self, words, expected):
        command = [self.tools["diesel"], "migration", *words.split(), "--migration-dir", self.migrations]
        # For diesel a database of SQLite is a path.
        command += ["--database-url", self.url.removeprefix("sqlite:")]
        self.turn(f"diesel migration {words}", lambda: run(command, cwd=self.folder), expected)

    def take(self):
        self.add(1, 2)
        self.diesel("run", "Running migration 20240101000000_t1(.|\n)*20240102000000_t2")
        self.migrator("status", "up_to_date, 2 applied, 0 pending(.|\n)*unverified")
        self.migrator("run", "nothing pending, 2 migrations applied before(.|\n)*2 migrations adopted")
        self.migrator("run", r"nothing pending, 2 migrations applied before$")
        self.add(3)
        self.migrator("run", "applied 1 migration(.|\n)*20240103000000_t3")
        self.diesel("pending", "^false$")
        self.diesel("list", r"\[X\] 20240101000000_t1\n\s*\[X\] 20240102000000_t2\n\s*\[X\] 20240103000000_t3$")
        self.diesel("run", "^$")
        self.diesel("revert", "Rolling back migration 20240103000000_t3")
        self.migrator("status", "pending, 2 applied, 1 pending", code=2)
        self.migrator("run", "applied 1 migration(.|\n)*1 migration reverted outside")
        self.diesel("pending", "^false$")
        self.diesel("redo", "Rolling back migration 20240103000000_t3(.|\n)*Running migration 20240103000000_t3")
        self.migrator("run", r"nothing pending, 3 migrations applied before$")
        self.add(4)
        self.sql("INSERT INTO __diesel_schema_migrations (version) VALUES ('20240104000000')")
        self.migrator("run", "nothing pending, 4 migrations applied before(.|\n)*1 migration adopted")
        self.sql("DROP TABLE __diesel_schema_migrations")
        self.migrator("status", "up_to_date, 4 applied, 0 pending")
        self.migrator("run", "nothing pending, 4 migrations applied before(.|\n)*made again from our history")
        self.diesel("pending", "^false$")
        self.sql("DROP TABLE __diesel_schema_migrations")
        self.diesel("pending", "^true$")
        self.migrator("run", "says that every migration was reverted, and the database is not empty: t1, t2, t3", code=1)
        self.sql("DROP TABLE __diesel_schema_migrations")
        self.migrator("run", "nothing pending, 4 migrations applied before(.|\n)*made again from our history")
        self.diesel("revert --all", "Rolling back migration 20240104000000_t4(.|\n)*20240101000000_t1")
        self.migrator("status", "pending, 0 applied, 4 pending", code=2)
        self.migrator("run", "applied 4 migrations(.|\n)*4 migrations reverted outside")
        self.diesel("list", r"^Migrations:(\n\s*\[X\] \S+){4}$")
        self.add(5)
        self.diesel("run", "Running migration 20240105000000_t5")
        self.migrator("run", "nothing pending, 5 migrations applied before(.|\n)*1 migration adopted")


def version(tools):
    return "diesel's command line " + re.search(r"[\d.]+", must([tools["diesel"], "--version"]))[0]


def install(target):
    root = target / "diesel-cli"
    program = root / "bin/diesel"
    if not program.exists():
        features = "sqlite-bundled,postgres,mysql"
        command = ["cargo", "install", "diesel_cli", "--version", "^2.3", "--locked", "--no-default-features", "--features", features]
        subprocess.run([*command, "--root", str(root)], check=True)
    return program


