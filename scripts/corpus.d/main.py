"""Runs every directory of the list and prints what came of it. `../corpus` is the way in."""

import argparse
import difflib
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import directories
from databases import BundledSqlite, MariaDb, Postgres, Sqlite, must, run, start, stop_in_order
from directories import DIRECTORIES, Applies, Fails, Missing, Refused
from host import Host, diagnostics
from seeding import Seeder

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Result:
    """One line of the table."""

    directory: directories.Directory
    applied: list = field(default_factory=lambda: ["-", "-"])
    equal: str = "-"
    kept: str = "-"
    notes: list = field(default_factory=list)
    wrong: list = field(default_factory=list)
    missing: bool = False

    def check(self, holds, what):
        if not holds:
            self.wrong.append(what)
        return holds

    def line(self, database):
        wrong = "; ".join(self.wrong)
        notes = "; ".join(note for note in [self.directory.note, *self.notes] if note)
        cells = [
            self.directory.name, database, self.directory.expect.count, " / ".join(map(str, self.applied)), self.equal, self.kept,
            f"**{'missing' if self.missing else 'unexpected'}: {wrong}** {notes}".strip() if wrong else notes,
        ]
        return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


class Corpus:
    """The tool, the service that embeds the directories, and the servers."""

    def __init__(self, tool, embedded, refusals, servers, exported, logs):
        self.tool, self.embedded, self.refusals, self.servers, self.exported, self.logs = tool, embedded, refusals, servers, exported, logs

    def examine(self, directory) -> Result:
        result = Result(directory)
        start = time.monotonic()
        try:
            kind = {Applies: self.applies, Fails: self.fails, Refused: self.refused}[type(directory.expect)]
            kind(directory, result, self.servers[directory.server], self.exported[directory])
        except Exception as error:  # one directory that goes wrong is one line of the table
            result.wrong.append(f"{type(error).__name__}: {error}")
            print(traceback.format_exc(), file=sys.stderr)
        verdict = "UNEXPECTED: " + "; ".join(result.wrong) if result.wrong else "as expected"
        print(f"{directory.name}: {verdict} ({time.monotonic() - start:.1f} s)", file=sys.stderr)
        return result

    def call(self, directory, url, *words):
        """The standalone tool on the directory: exit code, document, what it said on stderr."""
        session = ["--session-sql", directory.session] if directory.session else []
        done = run([self.tool, *words, "--json", "--database-url", url, "--dir", self.exported[directory], *session])
        try:
            document = json.loads(done.stdout)
        except json.JSONDecodeError as error:
            raise RuntimeError(f"{' '.join(words)} ended with {done.returncode} and no JSON: {done.stdout}{done.stderr}") from error
        return done.returncode, document, done.stderr

    # All of it is applied.

    def applies(self, directory, result, server, at):
        count, scripts = directory.expect.count, directories.scripts(directory, at)
        result.check(len(scripts) == count, f"the directory has {len(scripts)} scripts")

        name = f"{directory.key}_run"
        if directory.bundled:
            server = BundledSqlite(server, self.embedded.program)
        url = server.create(name)
        code, plan, stderr = self.call(directory, url, "plan")
        result.check(code == 2 and len(plan["steps"]) == count, f"plan: exit {code}, {len(plan.get('steps', []))} steps")
        result.check(server.is_empty(name), "plan wrote something")
        warnings = [line.removeprefix("warning: ") for line in stderr.splitlines() if line.startswith("warning: ")]
        result.notes += [warning.rpartition("; ")[0] for warning in warnings]
        code, first, _ = self.call(directory, url, "run")
        again, second, _ = self.call(directory, url, "run")
        listed, status, _ = self.call(directory, url, "status")
        result.check(code == 0, f"run: exit {code}")
        result.check(again == 0, f"second run: exit {again}")
        result.check(listed == 0, f"status: exit {listed}")
        self.all_applied(result, 0, scripts, [first, second], status)

        document = self.embedded.serve(directory, server.create(f"{directory.key}_macro"))
        self.all_applied(result, 1, scripts, document["runs"], document["status"])
        result.check(document["warnings"] == warnings, f"the macro warns of {document['warnings']}, the tool of {warnings}")

        server.create(f"{directory.key}_plain")
        if directory.before:
            server.apply(f"{directory.key}_plain", directories.Text(directory.before), "")
        for file in scripts:
            done = server.apply(f"{directory.key}_plain", file, directory.session)
            if not result.check(done.returncode == 0, f"the plain client fails at {shown(file)}: {done.stderr.strip()[:200]}"):
                return
        self.compare(directory, result, server)
        if directory.dialect == "sqlite":
            self.keeps_rows(directory, result, server, scripts)

    def all_applied(self, result, way, scripts, runs, status):
        first, second = runs
        said = ["run time", "macro"][way]
        result.applied[way] = len(first["applied"])
        if first["error"]:
            result.wrong.append(f"{said}: {first['error']['file']}: {first['error']['message'][:300]}")
            return
        names = [applied["name"] for applied in first["applied"]]
        result.check(names == [named(file) for file in scripts], f"{said}: not the migrations in the order that they should run in")
        no_op = not second["applied"] and second["skipped"] == len(scripts) and not second["error"]
        result.check(no_op, f"{said}: the second run is no no-op: {second}")
        self.has_state(result, said, status, "up_to_date", len(scripts), 0)

    @staticmethod
    def has_state(result, said, status, state, applied, pending):
        told = status.get("state"), status.get("applied"), status.get("pending")
        problems = [problem["code"] for problem in status.get("problems", [])]
        result.check(told == (state, applied, pending), f"{said}: status tells {told}")
        result.check(state == "blocked" or not problems, f"{said}: problems {problems}")

    # One script fails.

    def fails(self, directory, result, server, at):
        expect, scripts = directory.expect, directories.scripts(directory, at)
        result.check(len(scripts) == expect.count, f"the directory has {len(scripts)} scripts")
        culprit, before = scripts[expect.at - 1], scripts[: expect.at - 1]

        url = server.create(f"{directory.key}_run")
        code, first, _ = self.call(directory, url, "run")
        again, second, _ = self.call(directory, url, "run")
        listed, status, _ = self.call(directory, url, "status")
        result.check(code == 1 and again == 1, f"run: exits {code} and {again}")
        result.check(listed == 2, f"status: exit {listed}")
        self.stopped(directory, result, 0, before, culprit, [first, second], status)
        document = self.embedded.serve(directory, server.create(f"{directory.key}_macro"))
        self.stopped(directory, result, 1, before, culprit, document["runs"], document["status"])

        server.create(f"{directory.key}_plain")
        for file in before:
            done = server.apply(f"{directory.key}_plain", file, directory.session)
            if not result.check(done.returncode == 0, f"the plain client fails at {shown(file)} already: {done.stderr.strip()[:200]}"):
                return
        done = server.apply(f"{directory.key}_plain", culprit, directory.session)
        fails = done.returncode != 0 and expect.words in done.stderr
        result.check(fails, f"the plain client does not fail at {shown(culprit)} as expected: {done.stderr.strip()[:200]}")
        self.compare(directory, result, server)
        result.notes.insert(0, f"fails at #{expect.at}, {shown(culprit)}, as for the plain client: {expect.words}")

    def stopped(self, directory, result, way, before, culprit, runs, status):
        expect, said = directory.expect, ["run time", "macro"][way]
        first, second = runs
        result.applied[way] = len(first["applied"])
        names = [applied["name"] for applied in first["applied"]]
        result.check(names == [named(file) for file in before], f"{said}: {len(names)} applied before the failure")
        result.check(not second["applied"] and second["skipped"] == len(before), f"{said}: the second run is not the same failure: {second}")
        for error in (first["error"], second["error"]):
            if not result.check(error, f"{said}: no error"):
                continue
            result.check(error["code"] == "statement_failed", f"{said}: the code is {error['code']}")
            result.check((error["file"] or "").endswith(shown(culprit)), f"{said}: it names {error['file']}, not {shown(culprit)}")
            result.check(expect.statement in (error["statement"] or ""), f"{said}: the statement shown is {error['statement']}")
            result.check(expect.words in error["message"], f"{said}: the words are {error['message']}")
        self.has_state(result, said, status, expect.after, len(before), expect.count - len(before))

    # It is refused.

    def refused(self, directory, result, server, _at):
        expect, name = directory.expect, f"{directory.key}_run"
        url = server.create(name)
        for verb in ("plan", "run", "status"):
            code, document, _ = self.call(directory, url, verb)
            error = document.get("error") or {}
            said = f"{error.get('file') or ''} {error.get('message', '')} {error.get('help', '')}"
            result.check(code == 1, f"{verb}: exit {code}")
            result.check(expect.names in said, f"{verb}: the message does not name {expect.names}: {said}")
        result.check(server.is_empty(name), "something was written")
        # The compiler shows the line of the macro, with the closing quote.
        errors = [text for text in self.refusals if f'"directories/{directory.key}"' in text]
        result.check(len(errors) == 1, f"the macro says {len(errors)} errors about it")
        result.check(all(expect.names in text for text in errors), f"the macro's error does not name {expect.names}: {errors}")
        result.applied = ["refused", "refused"]
        result.equal = "nothing written"
        result.notes.append(one_line(error["message"].partition(" [")[0]).removeprefix(f"{self.exported[directory]}").lstrip("/: "))

    # Comparing.

    def compare(self, directory, result, server):
        """Schema and rows of what the tool, the macro and the plain client made."""
        key = directory.key
        plain, differences = f"{key}_plain", []
        for way in ("run", "macro"):
            name = f"{key}_{way}"
            for what, tell in (("schema", server.schema), ("rows", lambda name: [f"{table} {count}" for table, count in server.rows(name).items()])):
                diff = list(difflib.unified_diff(tell(plain), tell(name), plain, name, lineterm="", n=2))
                if diff:
                    log = self.logs / f"{name}.{what}.diff"
                    log.write_text("\n".join(diff) + "\n")
                    print("\n".join(diff[:60]), file=sys.stderr)
                    changed = [line for line in diff[2:] if line[0] in "+-"]
                    differences.append(f"{what} ({way}): {len(changed)} lines, {changed[0]}")
        counts = server.rows(plain)
        equal = f"equal: {many(len(counts), 'table')}, {many(sum(counts.values()), 'row')}"
        result.equal = "; ".join(differences) or equal
        result.check(not differences, "what was made differs from what the plain client makes")

    def keeps_rows(self, directory, result, sqlite, scripts):
        """One row in each table before each script: step by step with the tool, and with sqlite3 and foreign keys off."""
        ours, plain = (Seeder(sqlite, f"{directory.key}_{way}") for way in ("seeded", "seeded_plain"))
        url, position, mended = sqlite.create(ours.name), 0, []
        while position < len(scripts):
            steps = self.step(directory, result, sqlite, ours.name, url, scripts[position:])
            if steps is None:
                result.kept = f"stopped at #{position + 1}"
                return
            if steps > 1:
                mended.append((shown(scripts[position]), steps - 1))
            for file in scripts[position : position + steps]:
                done = sqlite.apply(plain.name, file, "")
                if not result.check(done.returncode == 0, f"seeded: sqlite3 fails at {shown(file)}: {done.stderr.strip()[:200]}"):
                    return
            position += steps
            ours.fill()
            plain.fill()
        result.check(tuple(mended) == directory.mended, f"refused alone, and accepted with so many later ones: {mended}")
        result.notes += [
            f"{name} alone is refused, since it leaves rows without their parent; with the next {later}, which mend it, it is applied"
            for name, later in mended
        ]
        kept, expected = sqlite.rows(ours.name), sqlite.rows(plain.name)
        lost = {table: (count, kept.get(table)) for table, count in expected.items() if kept.get(table) != count}
        result.kept = f"{sum(kept.values())} of {sum(expected.values())}"
        result.check(not lost and kept == expected, f"rows lost (table: sqlite3, migrator): {lost or kept}")
        result.check(ours.seeded == plain.seeded, f"{ours.seeded} rows seeded, {plain.seeded} beside sqlite3")
        mine, theirs = ours.contents(), plain.contents()
        changed = [table for table in theirs if mine.get(table) != theirs[table] and table not in directory.random]
        result.check(not changed, f"the same rows with other contents in {', '.join(changed)}")
        empty = [table for table, count in expected.items() if count == 0]
        result.check(set(empty) <= set(ours.skipped), f"empty and not known why: {empty}")
        result.notes += [f"{table} not seeded: {why}" for table, why in ours.skipped.items() if table in empty]
        result.kept += self.at_stake(directory, sqlite, scripts)

    def at_stake(self, directory, sqlite, scripts):
        """What the same scripts do to the same rows in a transaction with foreign keys on, which is how a bundled SQLite starts."""
        left = {}
        for keys in ("OFF", "ON"):
            # A row that is gone is not put in again, with the keys off either: what a script drops by itself is not at stake.
            seeder = Seeder(sqlite, f"{directory.key}_seeded_{keys}")
            for file in scripts:
                if sqlite.apply(seeder.name, file, "", foreign_keys=keys).returncode != 0:
                    return f" (keys {keys.lower()}: fails)"
                seeder.fill(again=False)
            left[keys] = sum(sqlite.rows(seeder.name).values())
        lost = left["OFF"] - left["ON"]
        return f" (keys on: loses {lost} of {left['OFF']})" if lost else ""

    def step(self, directory, result, sqlite, name, url, scripts):
        """Runs the next script, with as many later ones as it takes until each row has its parent again; tells how many."""
        rows = sqlite.rows(name)
        for steps in range(1, len(scripts) + 1):
            code, document, _ = self.call(directory, url, "run", "--steps", str(steps))
            if code == 0:
                return steps
            error = document["error"]
            if error["code"] != "foreign_key_violation":
                break
            if not result.check(sqlite.rows(name) == rows, f"seeded: the refused {shown(scripts[0])} changed {rows} to {sqlite.rows(name)}"):
                return None
        result.wrong.append(f"seeded: {shown(scripts[0])}: {error['code']}: {error['message']}")
        return None


def named(file):
    """A migration's full name: its folder's, or its file's without the endings."""
    if file.path.name in ("up.sql", "migration.sql"):
        return file.path.parent.name
    return file.path.name.removesuffix(".sql").removesuffix(".up")


def shown(file):
    """The end of a script's path, as far as it tells the migration."""
    return f"{file.path.parent.name}/{file.path.name}" if file.path.name in ("up.sql", "migration.sql") else file.path.name


def many(count, what):
    return f"{count} {what}{'' if count == 1 else 's'}"


def one_line(text):
    return " ".join(text.split())


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/corpus", description="Runs migrator on real migration directories.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="holds the repositories' copies: FOLDER/OWNER+NAME/repo")
    parser.add_argument("--allow-missing", action="append", default=[], metavar="OWNER/NAME", help="a repository that may be missing")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="only this directory of the list")
    parser.add_argument("--jobs", type=int, default=3, metavar="N", help="directories at a time (default: 3)")
    parser.add_argument(
        "--newer-postgres", type=Path, metavar="BIN", help="the programs of a PostgreSQL >= 16; without it what needs one is left out"
    )
    parser.add_argument("--keep", action="store_true", help="keep the temporary folder: databases of SQLite, differences, the crates")
    given = parser.parse_args()
    for kind, known, names in (
        ("--allow-missing", {directory.repo for directory in DIRECTORIES}, given.allow_missing),
        ("--only", {directory.name for directory in DIRECTORIES}, given.only),
    ):
        if unknown := set(names) - known:
            parser.error(f"{kind} {', '.join(sorted(unknown))}: not on the list; it has {', '.join(sorted(known))}")
    return given


def main() -> int:
    given = arguments()
    stop_in_order()
    # What the caller's databases are does not matter here.
    for name in [name for name in os.environ if name.startswith(("MIGRATOR_", "PG", "MYSQL_", "MARIADB_"))]:
        del os.environ[name]
    start = time.monotonic()
    with ExitStack() as stack:
        # Directly below /tmp: the path of a Unix socket is at most 107 bytes long.
        folder = Path(tempfile.mkdtemp(prefix="migrator-corpus.", dir="/tmp"))
        folder.chmod(0o755)
        if given.keep:
            print(f"keeping {folder}", file=sys.stderr)
        else:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        results = examine_all(given, folder, stack)
    print(report(results, given, time.monotonic() - start))
    # Nothing that was looked at is no success either.
    looked_at = [result for result in results.values() if not result.missing]
    return 0 if looked_at and not any(result.wrong for result in results.values()) else 1


def examine_all(given, folder, stack):
    wanted = [directory for directory in DIRECTORIES if not given.only or directory.name in given.only]
    results, exported = {}, {}
    for directory in wanted:
        if directory.newer and not given.newer_postgres:
            results[directory] = Result(directory, missing=True, notes=["needs --newer-postgres"])
            continue
        try:
            exported[directory] = directories.export(given.folder, directory, folder / "directories")
        except Missing as missing:
            results[directory] = Result(directory, missing=True)
            allowed = directory.repo in given.allow_missing
            (results[directory].notes if allowed else results[directory].wrong).append(str(missing))
    if not exported:
        return results

    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
    tool = ["cargo", "build", "--quiet", "-p", "migrator", "--features", "cli,postgres,mysql", "--bin", "migrator", "--target-dir", target]
    must(tool, cwd=ROOT)
    embeddable = {directory: at for directory, at in exported.items() if not isinstance(directory.expect, Refused)}
    refusable = {directory: at for directory, at in exported.items() if directory not in embeddable}
    embedded = Host(ROOT, target, folder / "embedded", "corpus-embedded", embeddable)
    refused = Host(ROOT, target, folder / "refused", "corpus-refused", refusable)
    stack.callback(embedded.clean)
    stack.callback(refused.clean)
    build = embedded.build()
    if build.returncode != 0:
        raise RuntimeError("the crate that embeds the directories does not build:\n" + "\n".join(diagnostics(build, "error")) + build.stderr)
    if untracked := [text for text in diagnostics(build, "warning") if "does not rebuild this crate" in text]:
        raise RuntimeError("the build.rs line does not reach the macro:\n" + untracked[0])
    refusals = diagnostics(refused.build(), "error")
    servers = start_servers(folder, stack, {directory.server for directory in exported}, given.newer_postgres)

    logs = folder / "logs"
    logs.mkdir()
    corpus = Corpus(target / "debug/migrator", embedded, refusals, servers, exported, logs)
    # The longest first, so that no single one is waited for at the end.
    by_length = sorted(exported, key=lambda directory: -directory.expect.count)
    with ThreadPoolExecutor(given.jobs) as pool:
        futures = {directory: pool.submit(corpus.examine, directory) for directory in by_length}
        try:
            results |= {directory: future.result() for directory, future in futures.items()}
        except BaseException:  # Ctrl-C or a signal: those that have not begun do not begin
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return {directory: results[directory] for directory in wanted}


def start_servers(folder, stack, wanted, newer_postgres):
    kinds = {"postgres": Postgres, "mysql": MariaDb, "sqlite": Sqlite, "newer-postgres": Postgres}
    servers = {}
    for name in sorted(wanted):
        programs = [newer_postgres.resolve()] if name == "newer-postgres" else []
        servers[name] = start(stack, kinds[name], folder / name, *programs)
    print(", ".join(f"{server.name} {server.version}" for server in servers.values()), file=sys.stderr)
    return servers


LEGEND = """\
*Applied*: by the standalone tool that reads the directory, and by a program that embeds it; each was run twice. *Equal*: what
both made, against the plain client (psql, mariadb, sqlite3). *Rows kept*: a row was put into each empty table before each
script, and so many are left as beside sqlite3 with foreign keys off; in brackets what the scripts do to them in a transaction
with foreign keys on, which is how a bundled SQLite starts.""".splitlines()


def report(results, given, seconds) -> str:
    titles = ["directory", "database", "migrations", "applied (run time / macro)", "schema and rows", "rows kept (SQLite)", "note"]
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    names = {"postgres": "PostgreSQL", "mysql": "MariaDB", "sqlite": "SQLite"}
    lines += [result.line(names[directory.dialect]) for directory, result in results.items()]
    wrong = sum(bool(result.wrong) for result in results.values())
    missing = sum(result.missing for result in results.values())
    expected = len(results) - wrong - sum(result.missing and not result.wrong for result in results.values())
    lines += ["", *LEGEND, "", f"{len(results)} directories: {expected} as expected, {wrong} not, {missing} missing; {seconds:.0f} s."]
    if given.only:
        lines.append(f"Only these were asked for; the list has {len(DIRECTORIES)}.")
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RuntimeError, OSError) as error:
        print(f"scripts/corpus: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
