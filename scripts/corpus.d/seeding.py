"""One row in each table of a SQLite database before each script: what a rebuild of a table may lose."""

from databases import OURS


class Seeder:
    """Fills tables that are empty, in the same way whoever made them, and keeps account of what it did."""

    def __init__(self, sqlite, name):
        self.sqlite, self.name = sqlite, name
        self.seeded, self.filled, self.skipped = 0, set(), {}

    def fill(self, again=True):
        """Puts one row into each empty user table, parents first, so that every row has its parent.

        Without `again`, what was filled once and is empty now stays empty: its row is lost.
        """
        if self.sqlite.is_empty(self.name):
            return
        with self.sqlite.connect(self.name) as db:
            db.execute("PRAGMA foreign_keys = OFF")
            for table in self._in_order(db):
                empty = db.execute(f"SELECT count(*) FROM {quoted(table)}").fetchone()[0] == 0
                if empty and (again or table not in self.filled):
                    self._fill(db, table)

    def contents(self) -> dict[str, list[tuple]]:
        with self.sqlite.connect(self.name) as db:
            return {table: sorted(db.execute(f"SELECT * FROM {quoted(table)}").fetchall(), key=repr) for table in tables(db)}

    def _in_order(self, db):
        """Parents before children; where they go round in circles, by name."""
        parents = {table: {key["table"] for key in foreign_keys(db, table)} - {table} for table in tables(db)}
        done = []
        while len(done) < len(parents):
            left = [table for table in sorted(parents) if table not in done]
            done.append(next((table for table in left if not (parents[table] & parents.keys()) - set(done)), left[0]))
        return done

    def _fill(self, db, table):
        columns = db.execute(f"SELECT name, type, \"notnull\", pk, dflt_value, hidden FROM pragma_table_xinfo({literal(table)})").fetchall()
        keys = foreign_keys(db, table)
        declared = {column for key in keys for column in key["from"]}
        own = {
            name: value(name, kind)
            for name, kind, notnull, pk, default, hidden in columns
            # Of booleans the default is taken: some are 't' and 'f', and a script may carry over only the rows that are one of
            # these. What a later script declares a reference can only be empty now.
            if not hidden
            and not (default and "BOOL" in kind.upper())
            and not (name.endswith(("_uuid", "_id")) and not notnull and not pk and name not in declared)
        }
        for key in keys:
            for column, parent_column in zip(key["from"], key["to"]):
                own[column] = self._parent_value(db, table, key["table"], parent_column, own, column)
        # A CHECK may want something else: the other common values of numbers and texts, then as little as is allowed.
        needed = {name for name, _, notnull, pk, default, _ in columns if (notnull or pk) and not default}
        attempts = [own]
        attempts += [{name: swap if isinstance(was, type(swap)) else was for name, was in own.items()} for swap in (0, "{}", "a")]
        attempts += [{name: was for name, was in own.items() if name in needed}]
        for attempt in attempts:
            try:
                names, marks = ", ".join(map(quoted, attempt)), ", ".join("?" * len(attempt))
                db.execute(f"INSERT INTO {quoted(table)} ({names}) VALUES ({marks})", list(attempt.values()))
            except Exception as error:  # whatever SQLite says is the reason that is told
                self.skipped.setdefault(table, str(error))
            else:
                self.seeded += 1
                self.filled.add(table)
                self.skipped.pop(table, None)
                return

    @staticmethod
    def _parent_value(db, table, parent, parent_column, own, column):
        if parent == table:
            return own.get(parent_column, own[column])
        try:
            row = db.execute(f"SELECT {quoted(parent_column)} FROM {quoted(parent)} LIMIT 1").fetchone()
        except Exception:  # a parent that is not there, or has no such column
            return None
        return row[0] if row else None


def value(name, kind):
    """Something that fits a column's declared type."""
    kind = kind.upper()
    if "INT" in kind or "BOOL" in kind:
        return 1
    if "DATE" in kind or "TIME" in kind:
        return "2020-02-02 02:02:02"
    if "BLOB" in kind or "BINARY" in kind:
        return b"\x01"
    if any(word in kind for word in ("REAL", "FLOA", "DOUB", "NUM", "DEC")):
        return 1.5
    return f"s-{name}"


def tables(db) -> list[str]:
    """The user's tables; a virtual one and its shadows are nobody's to fill."""
    found = db.execute("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
    return sorted(name for (name,) in found.fetchall() if name not in OURS)


def foreign_keys(db, table) -> list[dict]:
    keys = {}
    rows = db.execute(f"SELECT id, \"table\", \"from\", \"to\" FROM pragma_foreign_key_list({literal(table)}) ORDER BY id, seq")
    for number, parent, column, parent_column in rows.fetchall():
        key = keys.setdefault(number, {"table": parent, "from": [], "to": []})
        key["from"].append(column)
        # Without a column, the parent's primary key is meant.
        key["to"].append(parent_column or primary_key(db, parent, len(key["to"])))
    return list(keys.values())


def primary_key(db, table, at) -> str:
    names = db.execute(f"SELECT name FROM pragma_table_info({literal(table)}) WHERE pk > 0 ORDER BY pk").fetchall()
    return names[at][0] if at < len(names) else "rowid"


def quoted(name) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text) -> str:
    return "'" + text.replace("'", "''") + "'"
