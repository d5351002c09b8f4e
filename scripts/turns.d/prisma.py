"""Turns with Prisma's command line."""

import json
import os
import subprocess
from urllib.parse import urlencode

from databases import must, run
from turns import Turns, bounded

# Its command line, and what lets it talk to a database without an engine that would have to be downloaded.
PACKAGES = {
    "SQLite": ("sqlite", "adapter-libsql", "new PrismaLibSQL({ url: process.env.TURNS_URL })"),
    "PostgreSQL": ("postgresql", "adapter-pg", "new PrismaPg(Object.fromEntries(new URLSearchParams(process.env.TURNS_PLACE)))"),
}
VERSION = "6"

# adapter-pg knows no columns of the types `name` and `"char"`, which the engine's queries of the catalogue return: it takes them for
# two others, which are texts too and occur nowhere here.
NAMES = "import pg from 'pg'\nObject.assign(pg.types.builtins, { BPCHAR: 19, XML: 18 })\n"
# The engine bounds what it does by timers, of 10 s where it takes its lock and of 60 s in development, which it never takes back: node
# would wait for each after the command is over.
TIMERS = """const later = setTimeout
globalThis.setTimeout = (...words) => {
  const timer = later(...words)
  if (words[1] >= 10000) timer.unref()
  return timer
}
"""
CONFIG = TIMERS + """%(names)simport { %(class)s } from '@prisma/%(package)s'
export default {
  schema: 'schema.prisma',
  migrations: { path: 'migrations' },
  engine: 'js',
  experimental: { adapter: true, externalTables: true },%(external)s
  async adapter() { return %(made)s },
}
"""
# As `migrator new` and the guide say it.
EXTERNAL = "\n  tables: { external: [%s] },"
OURS = ("__migrator_history", "__migrator_meta", "__migrator_seeds", "__migrator_lock")


class Prisma(Turns):
    SERVERS = tuple(PACKAGES)
    NOISE = (
        "Loaded Prisma config", "Prisma config detected", "Prisma schema loaded", "Datasource ", "WARNING: Your schema", "- url",
        "The values from your schema", "We recommend", "Running generate", "0: ", "1: ", "2: ", "with migration_name", "at schema-engine",
    )

    def __init__(self, tools, server, folder):
        super().__init__(tools, server, folder)
        self.provider, package, made = PACKAGES[server.name]
        (self.migrations / "migration_lock.toml").write_text(f'provider = "{self.provider}"\n')
        (folder / "node_modules").symlink_to(tools["prisma"] / "node_modules")
        (folder / "package.json").write_text('{ "type": "module" }\n')
        schema, names = "", ""
        if self.provider == "postgresql":
            schema, names = "public.", NAMES
            # `migrate dev` makes a shadow database.
            server._admin("ALTER ROLE corpus CREATEDB")
        external = EXTERNAL % ", ".join(f"'{schema}{table}'" for table in OURS)
        words = {"names": names, "class": made.split()[1].split("(")[0], "package": package, "made": made}
        (folder / "prisma.config.ts").write_text(CONFIG % {**words, "external": external})
        (folder / "careless.config.ts").write_text(CONFIG % {**words, "external": ""})
        # `resolve --rolled-back` asks the engine that is not there whether the database answers, and asks it nothing else.
        self.engine = folder / "engine"
        self.engine.write_text("#!/bin/sh\nexit 0\n")
        self.engine.chmod(0o755)

    def add(self, *numbers):
        for number in numbers:
            one = self.migrations / f"2024010{number}000000_t{number}"
            one.mkdir()
            (one / "migration.sql").write_text(f"CREATE TABLE t{number} (id INTEGER NOT NULL PRIMARY KEY);\n")
        models = "".join(f"model {one.name[15:]} {{\n  id Int @id\n}}\n" for one in sorted(self.migrations.glob("2*")))
        source = f'datasource db {{\n  provider = "{self.provider}"\n  url = env("TURNS_URL")\n}}\n'
        (self.folder / "schema.prisma").write_text(source + models)

    def hinder(self, number):
        """Makes a migration fail, whose text is right, until what is in its way is gone."""
        self.add(number)
        self.sql(f"CREATE TABLE t{number} (in_the_way INTEGER)")

    def prisma(self, words, expected, code=0, config="prisma.config.ts"):
        url = self.url.replace("sqlite:", "file:")
        # In parts, since for a shadow database the adapter replaces one of them; it drops that before it hangs up, so that an idle
        # connection must not linger.
        place = {"host": "127.0.0.1", "port": getattr(self.server, "port", ""), "user": "corpus", "database": self.database}
        place["idleTimeoutMillis"] = 1
        env = {
            **os.environ, "TURNS_URL": url, "TURNS_PLACE": urlencode(place), "CHECKPOINT_DISABLE": "1", "PRISMA_HIDE_UPDATE_MESSAGE": "1", "NO_COLOR": "1",
            "PRISMA_CLIENT_ENGINE_TYPE": "client", "PRISMA_SCHEMA_ENGINE_BINARY": str(self.engine),
        }
        program = self.tools["prisma"] / "node_modules/prisma/build/index.js"

        def take():
            done = run(["node", program, *words.split(), "--config", config], cwd=self.folder, env=env, stdin=subprocess.DEVNULL)
            # What went wrong is on stderr, behind what it says first on stdout.
            done.stdout += done.stderr
            return done

        careless = ", without `tables.external`" if config != "prisma.config.ts" else ""
        self.turn(f"prisma {words}{careless}", take, expected, code)

    def take(self):
        self.history()
        self.failures()
        self.reverts()
        self.development()

    def history(self):
        self.add(1, 2)
        self.prisma("migrate deploy", "20240101000000_t1/(.|\n)*20240102000000_t2/(.|\n)*successfully applied")
        self.migrator("status", "^up_to_date, 2 applied, 0 pending")
        self.migrator("run", "nothing pending, 2 migrations applied before(.|\n)*2 migrations adopted")
        self.migrator("run", r"nothing pending, 2 migrations applied before$")
        self.add(3)
        self.migrator("run", "applied 1 migration(.|\n)*20240103000000_t3")
        self.prisma("migrate status", "Database schema is up to date!")
        self.prisma("migrate deploy", "No pending migrations to apply")
        self.add(4)
        self.prisma("migrate deploy", "20240104000000_t4/(.|\n)*successfully applied")
        self.migrator("run", "nothing pending, 4 migrations applied before(.|\n)*1 migration adopted")
        self.migrator("run", r"nothing pending, 4 migrations applied before$")
        self.sql("DROP TABLE _prisma_migrations")
        self.migrator("run", "made again from our history")
        self.prisma("migrate status", "Database schema is up to date!")
        self.sql("DROP TABLE __migrator_history; DROP TABLE __migrator_meta")
        self.migrator("run", "nothing pending, 4 migrations applied before(.|\n)*4 migrations adopted")

    def failures(self):
        # In Prisma's hands, settled here.
        self.hinder(5)
        self.prisma("migrate deploy", "already exists", code=1)
        self.migrator("status", "blocked, 4 applied, 1 pending(.|\n)*failed +20240105000000_t5\\s+last attempt: outside: ", code=2)
        self.migrator("run", "failed in another tool's hands", code=1)
        self.sql("DROP TABLE t5")
        self.migrator("resolve --rolled-back 20240105000000_t5", "recorded as rolled back")
        self.prisma("migrate deploy", "20240105000000_t5/(.|\n)*successfully applied")
        self.migrator("run", "nothing pending, 5 migrations applied before(.|\n)*1 migration adopted")
        # In Prisma's hands, settled there.
        self.hinder(6)
        self.prisma("migrate deploy", "already exists", code=1)
        self.migrator("run", "failed in another tool's hands", code=1)
        self.prisma("migrate resolve --rolled-back 20240106000000_t6", "marked as rolled back")
        self.sql("DROP TABLE t6")
        self.migrator("status", "pending, 5 applied, 1 pending(.|\n)*rolled_back +20240106000000_t6", code=2)
        self.migrator("run", "applied 1 migration(.|\n)*20240106000000_t6")
        self.prisma("migrate status", "Database schema is up to date!")
        # In our hands: what was undone whole is for whoever comes first.
        self.hinder(7)
        self.migrator("run", "migration 20240107000000_t7 failed", code=1)
        self.prisma("migrate status", "have not yet been applied:(.|\n)*20240107000000_t7", code=1)
        self.sql("DROP TABLE t7")
        self.prisma("migrate deploy", "20240107000000_t7/(.|\n)*successfully applied")
        # Done by hand, and said to the one or to the other.
        self.add(8, 9)
        self.sql("CREATE TABLE t8 (id INTEGER NOT NULL PRIMARY KEY); CREATE TABLE t9 (id INTEGER NOT NULL PRIMARY KEY)")
        self.prisma("migrate resolve --applied 20240108000000_t8", "marked as applied")
        self.migrator("resolve --applied 20240109000000_t9", "recorded as applied")
        self.prisma("migrate status", "Database schema is up to date!")
        self.migrator("run", r"nothing pending, 9 migrations applied before$")

    def reverts(self):
        # Prisma takes no notice of `down.sql`; what is undone is pending for both, and whoever comes first applies it.
        (self.migrations / "20240109000000_t9/down.sql").write_text("DROP TABLE t9;\n")
        self.migrator("revert", "reverted 1 migration(.|\n)*20240109000000_t9")
        self.prisma("migrate status", "have not yet been applied:(.|\n)*20240109000000_t9", code=1)
        self.prisma("migrate deploy", "20240109000000_t9/(.|\n)*successfully applied")
        self.migrator("run", "nothing pending, 9 migrations applied before(.|\n)*1 migration adopted")
        # With an edit of what was never released.
        edited = self.migrations / "20240109000000_t9/migration.sql"
        edited.write_text(edited.read_text() + "-- as it was meant\n")
        self.migrator("redo", "20240109000000_t9")
        self.prisma("migrate status", "Database schema is up to date!")
        self.migrator("run", r"nothing pending, 9 migrations applied before$")

    def development(self):
        self.prisma("migrate dev --name nothing", "Already in sync")
        self.prisma("db push", "already in sync")
        self.migrator("run", r"nothing pending, 9 migrations applied before$")
        careless = "careless.config.ts"
        self.prisma("migrate dev --name nothing", "Drift detected(.|\n)*__migrator_history", code=130, config=careless)
        self.prisma("db push", "drop the `__migrator_history` table", code=1, config=careless)
        self.prisma("db push --accept-data-loss", "in sync with your Prisma schema", config=careless)
        self.migrator("status", "up_to_date, 9 applied, 0 pending")
        self.migrator("run", "nothing pending, 9 migrations applied before(.|\n)*9 migrations adopted")
        self.migrator("run", r"nothing pending, 9 migrations applied before$")
        self.prisma("migrate status", "Database schema is up to date!")


def version(tools):
    package = json.loads((tools["prisma"] / "node_modules/prisma/package.json").read_text())
    return f"Prisma's command line {package['version']}"


def install(target):
    root = target / "prisma-cli"
    packages = ["prisma", *(f"@prisma/{package}" for _, package, _ in PACKAGES.values())]
    if not all((root / "node_modules" / package).exists() for package in packages):
        root.mkdir(parents=True, exist_ok=True)
        (root / "package.json").write_text('{ "private": true }\n')
        # No script of a package runs: they would download the engines.
        install = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", *(f"{package}@{VERSION}" for package in packages)]
        with bounded(" ".join(install), 600):
            must(install, cwd=root)
    return root.resolve()
