"""Turns of two tools on one database: who did what, what it said, and whether that is what it should say."""

import re
import signal
from contextlib import contextmanager

from databases import run
from directories import Text

# Seconds in which a turn has to end. A few of them are what one takes.
BOUND = 120


class Turns:
    """One database, one migrations directory, and two tools."""

    SERVERS = ("SQLite", "PostgreSQL", "MariaDB")
    # What a line of the other tool's begins with that tells nothing.
    NOISE = ()

    def __init__(self, tools, server, folder):
        self.tools, self.server, self.folder = tools, server, folder
        self.migrations = folder / "migrations"
        self.migrations.mkdir()
        self.database = f"turns_{type(self).__name__.lower()}"
        self.url = server.create(self.database)
        self.said, self.wrong = [], 0

    def migrator(self, words, expected, code=0):
        command = [self.tools["migrator"], *words.split(), "--dir", self.migrations, "--database-url", self.url]
        self.turn(f"migrator {words}", lambda: run(command, cwd=self.folder), expected, code)

    def sql(self, sql):
        self.turn(f"by hand: `{sql}`", lambda: self.server.apply(self.database, Text(sql), ""), "")

    def turn(self, who, take, expected, code=0):
        with bounded(who, BOUND):
            done = take()
        # What migrator warns of is on stderr.
        warnings = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
        said = "\n".join([done.stdout.strip(), *warnings]) if done.stdout.strip() else done.stderr
        said = "\n".join(line for line in said.splitlines() if not line.strip().startswith(self.NOISE or "\0"))
        # A terminal's lines that are overwritten.
        said = re.sub(r"\x1b\[[\d;]*[A-Za-z]", "", said)
        said = re.sub(r"  \d+ ms|  \d{4}-\d\d-\d\dT[\d:.]+Z| in \d+ ms|, waited .* lock", "", said.strip())
        said = re.sub(r"^database: .*\n", "", said)
        said = re.sub(r"^\S*turns\S*: ", "", said)
        right = done.returncode == code and re.search(expected, said)
        self.wrong += not right
        verdict = "" if right else f" **unexpected: exit {done.returncode}, not {code} with `{expected}`** {done.stderr.strip()}"
        cell = "<br>".join(line.strip() for line in said.splitlines() if line.strip()).replace("|", "\\|")
        self.said.append((who, cell + verdict))


@contextmanager
def bounded(what, seconds):
    """Ends what does not end by itself: what waits for something would be waited for here, for ever."""

    def late(_number, _frame):
        # The program that is waited for is killed as this passes by it.
        raise RuntimeError(f"`{what}` did not end within {seconds} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def table(everybody):
    """What was said, in Markdown; what all of them said is one row."""
    print("| who | what it said | where |\n|---|---|---|")
    for at in range(max(len(turns.said) for turns in everybody)):
        answers = [(turns.server.name, turns.said[at]) for turns in everybody if at < len(turns.said)]
        for who, said in dict.fromkeys(answer for _, answer in answers):
            where = [name for name, answer in answers if answer == (who, said)]
            print(f"| {who} | {said} | {'all' if len(where) == len(everybody) else ', '.join(where)} |")
