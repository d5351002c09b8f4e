//! What is refused, where it is said to begin, and the mode that a script gets.

use migrator_source::sql::{Mode, Position, Script, SqlDialect, position};

use SqlDialect::{Mysql, Postgres, Sqlite};

fn faults(dialect: SqlDialect, text: &str, declared: Option<Mode>) -> Vec<String> {
    let faults = Script::parse(text, dialect, declared).err().unwrap_or_default();
    for fault in &faults {
        assert!(!fault.message.contains('\n') && !fault.help.is_empty(), "{fault:?}");
    }
    faults.iter().map(|fault| format!("{} {}", fault.code, position(text, fault.offset))).collect()
}

#[track_caller]
fn refused(rows: &[(SqlDialect, &str, &[&str])]) {
    for (dialect, text, expected) in rows {
        assert_eq!(faults(*dialect, text, None), *expected, "{dialect}: {text}");
    }
}

#[track_caller]
fn mode(rows: &[(SqlDialect, Option<Mode>, &str, Mode)]) {
    for (dialect, declared, text, expected) in rows {
        let script = Script::parse(text, *dialect, *declared);
        assert_eq!(script.map(|script| script.mode()), Ok(*expected), "{dialect}, {declared:?}: {text}");
    }
}

#[test]
fn what_never_ends_is_named_where_it_begins() {
    refused(&[
        (Sqlite, "SELECT 1;\nSELECT 'it''s;\n", &["unterminated_string 2:8"]),
        (Postgres, "SELECT E'a\\'", &["unterminated_string 1:8"]),
        (Postgres, "SELECT E'a'\n'b\\'", &["unterminated_string 1:8"]),
        (Mysql, r"SELECT 'a\'", &["unterminated_string 1:8"]),
        (Mysql, "SELECT \"a", &["unterminated_string 1:8"]),
        (Sqlite, "SELECT \"a", &["unterminated_identifier 1:8"]),
        (Postgres, "SELECT \"a'", &["unterminated_identifier 1:8"]),
        (Mysql, "SELECT `a", &["unterminated_identifier 1:8"]),
        (Sqlite, "SELECT [a", &["unterminated_identifier 1:8"]),
        (Postgres, "DO\n$a$ ; $A$ $$", &["unterminated_dollar_quote 2:1"]),
        (Postgres, "é /* a /* b */ SELECT 1", &["unterminated_comment 1:3"]),
        (Mysql, "SELECT 1 /* a", &["unterminated_comment 1:10"]),
        (Mysql, "/*!50003 SELECT 1", &["unterminated_comment 1:1"]),
        (Sqlite, "SELECT 1; /*", &["unterminated_comment 1:11"]),
        (Sqlite, "CREATE TRIGGER r AFTER INSERT ON t\nBEGIN SELECT 1; SELECT 2", &["unterminated_body 2:1"]),
        (Sqlite, "CREATE TRIGGER begin DELETE ON t\nBEGIN SELECT 1;", &["unterminated_body 2:1"]),
        (Postgres, "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1;", &["unterminated_body 1:33"]),
        (Postgres, "CREATE RULE r AS ON INSERT TO t DO\n(SELECT (1); SELECT 2;\nSELECT 3;", &["unterminated_body 2:1"]),
        (Mysql, "CREATE PROCEDURE p()\n BEGIN IF 1 THEN SELECT 1; END IF;", &["unterminated_body 2:2"]),
        (Mysql, "CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW IF 1 THEN SET @a = 1;", &["unterminated_body 1:50"]),
        // The quote swallowed the END: one fault, not two.
        (Mysql, "CREATE PROCEDURE p() BEGIN SELECT 'a; END;", &["unterminated_string 1:35"]),
    ]);
}

#[test]
fn commands_of_clients_are_refused() {
    refused(&[
        (
            Postgres,
            "\\set x 'it''s\n\\i other.sql\nSELECT 1 \\gexec\n",
            &["psql_command 1:1", "psql_command 2:1", "psql_command 3:10"],
        ),
        (Mysql, "\\. other.sql\nSELECT \\N\\G", &["mysql_command 1:1", "mysql_command 2:10"]),
        (Sqlite, "SELECT 1;\n.read other.sql", &["sqlite_command 2:1"]),
        (
            Postgres,
            "COPY t (a, b) FROM STDIN;\n1\tit's\n\\.\nCOPY u FROM stdin WITH (FORMAT csv);\n",
            &["copy_from_stdin 1:1", "copy_from_stdin 4:1"],
        ),
        (Postgres, "SELECT 1;\nCOPY t FROM STDIN", &["copy_from_stdin 2:1"]),
        (Mysql, "SELECT 1;\nLOCK TABLES a WRITE", &["lock_tables 2:1"]),
        (Mysql, "LOCK TABLES a WRITE;\nINSERT INTO a VALUES (1);\nUNLOCK TABLES;", &["lock_tables 1:1"]),
        (
            Mysql,
            "SELECT 1;\nDELIMITER $$\nCREATE PROCEDURE p() BEGIN SELECT 1; END$$ COMMIT; IF 1 THEN SELECT 1;\nDELIMITER ;\nSELECT 2;",
            &["delimiter 2:1"],
        ),
        (Postgres, "delimiter //\nSELECT 1 //", &["delimiter 1:1"]),
        (Mysql, "SELECT 5--1;\n------\nSELECT 2;\n--it's\n", &["not_a_comment 2:1", "not_a_comment 4:1"]),
        (
            Mysql,
            "CREATE TABLE a (b INT);\n--> statement-breakpoint\nCREATE TABLE b (c INT);--> statement-breakpoint\n",
            &["drizzle_breakpoint 2:1"],
        ),
    ]);
    for (dialect, text) in [
        (Postgres, "COPY t FROM '/a'; COPY t TO STDOUT; SELECT 'FROM STDIN'"),
        (Mysql, "SELECT delimiter FROM t"),
        (Sqlite, "SELECT t\n.a FROM t"),
        (Postgres, "SELECT '\\d'; SELECT $$\\d$$"),
    ] {
        assert_eq!(faults(dialect, text, None), [""; 0], "{text}");
    }
}

#[test]
fn transaction_control_is_refused() {
    for (dialect, statements) in [
        (Sqlite, "BEGIN; COMMIT; END; ROLLBACK; BEGIN IMMEDIATE; END TRANSACTION"),
        (
            Postgres,
            "BEGIN; START TRANSACTION; COMMIT; END; ROLLBACK; ABORT; PREPARE TRANSACTION 'a'; COMMIT PREPARED 'a'; \
             ROLLBACK PREPARED 'a'; BEGIN ISOLATION LEVEL SERIALIZABLE; COMMIT AND CHAIN",
        ),
        (
            Mysql,
            "BEGIN; BEGIN WORK; START TRANSACTION; COMMIT; ROLLBACK; XA START 'a'; SET autocommit = 0; \
             SET @@session.autocommit := 0; SET @a = 1, AUTOCOMMIT = 0; /*!40101 SET AUTOCOMMIT=0 */; SET @@autocommit=1",
        ),
    ] {
        for statement in statements.split("; ") {
            let text = format!("SELECT 1;\n{statement};\nSELECT 2");
            assert_eq!(faults(dialect, &text, None), ["transaction_control 2:1"], "{dialect}: {statement}");
        }
    }
    refused(&[
        (Sqlite, "COMMIT;\nSELECT 1;\nBEGIN;", &["transaction_control 1:1", "transaction_control 3:1"]),
        (Postgres, "BEGIN; SELECT 1; ROLLBACK;", &["transaction_control 1:1", "transaction_control 1:18"]),
        (
            Postgres,
            "BEGIN ISOLATION LEVEL SERIALIZABLE; COMMIT",
            &["transaction_control 1:1", "transaction_control 1:37"],
        ),
        (Postgres, "SELECT 1; BEGIN; COMMIT", &["transaction_control 1:11", "transaction_control 1:18"]),
        (Postgres, "SET LOCAL a = 1; BEGIN; COMMIT", &["transaction_control 1:18", "transaction_control 1:25"]),
        (Mysql, "SET TRANSACTION READ ONLY; BEGIN; COMMIT", &["transaction_control 1:28", "transaction_control 1:35"]),
        (
            Postgres,
            "-- migrator: no-transaction\nBEGIN; SELECT 1; COMMIT",
            &["transaction_control 2:1", "transaction_control 2:18"],
        ),
        // MySQL's DDL commits, so that the pair does not hold together what it encloses.
        (Mysql, "BEGIN; CREATE TABLE t (a INT); COMMIT", &["transaction_control 1:1", "transaction_control 1:32"]),
    ]);
}

#[test]
fn a_pair_around_the_script_is_taken_off() {
    for (dialect, text, expected) in [
        (Sqlite, "BEGIN; SELECT 1; SELECT 2; COMMIT;", "SELECT 1|SELECT 2"),
        (
            Sqlite,
            "PRAGMA foreign_keys=OFF; BEGIN EXCLUSIVE TRANSACTION; SELECT 1; END; PRAGMA foreign_keys=ON",
            "PRAGMA foreign_keys=OFF|SELECT 1|PRAGMA foreign_keys=ON",
        ),
        (
            Postgres,
            "SET lock_timeout = '1s';\nbegin work;\nSELECT 1;\nend transaction;\nRESET lock_timeout",
            "SET lock_timeout = '1s'|SELECT 1|RESET lock_timeout",
        ),
        (Postgres, "START TRANSACTION; SAVEPOINT a; ROLLBACK TO a; COMMIT", "SAVEPOINT a|ROLLBACK TO a"),
        (Mysql, "START TRANSACTION; DELETE FROM t; COMMIT", "DELETE FROM t"),
        (Postgres, "BEGIN; COMMIT", ""),
    ] {
        let script = Script::parse(text, dialect, None).expect(text);
        let statements: Vec<_> = script.statements().iter().map(|statement| statement.text).collect();
        assert_eq!(statements.join("|"), expected);
        assert_eq!(script.mode(), Mode::Transaction);
        assert_eq!(script.is_empty(), expected.is_empty());
    }
}

#[test]
fn modes() {
    use Mode::{NoTransaction, Transaction};
    mode(&[
        (Sqlite, None, "", Transaction),
        (Postgres, None, "SELECT 1; SELECT 2", Transaction),
        (Postgres, Some(Transaction), "SELECT 1", Transaction),
        (Postgres, Some(NoTransaction), "SELECT 1", NoTransaction),
        (Postgres, None, "VACUUM", NoTransaction),
        (Postgres, None, "-- x\n-- migrator: no-transaction\nVACUUM; SELECT 1", NoTransaction),
        (Postgres, Some(Transaction), "--MIGRATOR:  No-Transaction  \r\nVACUUM", NoTransaction),
        (Sqlite, None, "/* migrator:\n no-transaction */ VACUUM; SELECT 1", NoTransaction),
        (Sqlite, None, "/* migrator: no-transaction", NoTransaction),
        (Mysql, None, "# migrator: no-transaction\nSELECT 1", NoTransaction),
        (Postgres, None, "-- no-transaction\nSELECT 1", NoTransaction),
        (Postgres, None, "-- migrator: breaks-before 20240101\nSELECT 1", Transaction),
        (Postgres, None, "-- migrator: breaks-before 1\n-- migrator: no-transaction\nSELECT 1", NoTransaction),
        (Postgres, None, "\u{feff}-- no-transaction: it locks\nSELECT 1", NoTransaction),
        (Postgres, None, "-- no-transactions\nSELECT 1", Transaction),
        (Postgres, None, "\n-- no-transaction\nSELECT 1", Transaction),
        (Postgres, None, "SELECT ' -- migrator: nothing'; SELECT $$\n-- migrator: nothing\n$$", Transaction),
        (Postgres, None, "-- see the migrator: it runs this", Transaction),
        (Mysql, None, "INSERT INTO t VALUES (1); SET @a = 1", Transaction),
        (Mysql, None, "INSERT INTO t VALUES (1); DROP TABLE t", NoTransaction),
        (Mysql, Some(Transaction), "DROP TABLE t", NoTransaction),
    ]);
}

#[test]
fn directives_and_statements_that_contradict_are_refused() {
    refused(&[
        (Postgres, "-- migrator: no transaction\nSELECT 1", &["unknown_directive 1:1"]),
        (Postgres, "SELECT 1;\n /* migrator: */", &["unknown_directive 2:2"]),
        (Postgres, "/* migrator: no-tx\n   and more */ SELECT 1", &["unknown_directive 1:1"]),
        (Postgres, "SELECT 1 -- migrator: no-transaction\n", &["misplaced_directive 1:10"]),
        (Postgres, "BEGIN; -- migrator: no-transaction\nCOMMIT", &["misplaced_directive 1:8"]),
        (Postgres, "VACUUM; SELECT 1; VACUUM t", &["not_in_transaction 1:1", "not_in_transaction 1:19"]),
        (Postgres, "BEGIN; VACUUM; COMMIT", &["transaction_control 1:1", "transaction_control 1:16"]),
        (Postgres, "BEGIN; SELECT 1; VACUUM; COMMIT", &["not_in_transaction 1:18"]),
        (
            Postgres,
            "-- migrator: nothing\nSELECT 1; COMMIT; CREATE INDEX CONCURRENTLY ON t (a); \\d\nSELECT 'a",
            &[
                "unknown_directive 1:1",
                "transaction_control 2:11",
                "not_in_transaction 2:19",
                "psql_command 2:55",
                "unterminated_string 3:8",
            ],
        ),
    ]);
    assert_eq!(faults(Postgres, "VACUUM", Some(Mode::Transaction)), ["not_in_transaction 1:1"]);
    assert_eq!(faults(Postgres, "BEGIN; SELECT 1; COMMIT", Some(Mode::NoTransaction)).len(), 2);
}

#[test]
fn messages_say_what_to_type() {
    for (dialect, text, message, help) in [
        (
            Postgres,
            "CREATE INDEX CONCURRENTLY i ON t (a); SELECT 1",
            "not_in_transaction: CREATE INDEX CONCURRENTLY i cannot run inside a transaction",
            "move it to a migration of its own, or write `-- migrator: no-transaction` in the first line",
        ),
        (
            Mysql,
            "SET PASSWORD = 'x'; SET AUTOCOMMIT='secret'",
            "transaction_control: SET AUTOCOMMIT controls the transaction that migrator keeps",
            "remove it: another statement of this script commits by itself, so each is recorded by itself; \
             what must happen together goes into a migration of its own",
        ),
        (
            Mysql,
            "/*!40101 SET AUTOCOMMIT=0 */",
            "transaction_control: this statement controls the transaction that migrator keeps",
            "remove it: the script runs in one transaction, and only one BEGIN and COMMIT around all of it are accepted",
        ),
        (
            Postgres,
            "-- migrator: no-tx",
            "unknown_directive: there is no directive `no-tx`",
            "write `-- migrator: no-transaction` or `-- migrator: breaks-before VERSION`, or remove the comment",
        ),
        (
            Postgres,
            "SELECT $a$",
            "unterminated_dollar_quote: the text that begins here with $a$ never ends",
            "close it with the same $a$, in the same case",
        ),
        (
            Sqlite,
            "SELECT 1;\n.read x.sql",
            "sqlite_command: .read is a command of the sqlite3 client, which the server does not know",
            "remove the line, or write in SQL what it does",
        ),
    ] {
        let faults = Script::parse(text, dialect, None).expect_err(text);
        assert_eq!(faults[0].to_string(), message);
        assert_eq!(faults[0].help, help);
    }
}

#[test]
fn positions_count_characters() {
    let text = "aé\r\n😀b\n";
    for (offset, line, column) in
        [(0, 1, 1), (1, 1, 2), (2, 1, 2), (3, 1, 3), (5, 2, 1), (9, 2, 2), (11, 3, 1), (99, 3, 1)]
    {
        assert_eq!(position(text, offset), Position { line, column }, "{offset}");
    }
}
