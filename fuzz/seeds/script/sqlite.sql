-- Ships and what they carry; it's all here.
PRAGMA foreign_keys = OFF;
CREATE TABLE "ship" (id INTEGER PRIMARY KEY, [name] TEXT NOT NULL, `note` TEXT DEFAULT 'a;b''c');
CREATE TEMP TRIGGER end AFTER UPDATE OF begin ON ship WHEN begin > 1 BEGIN
  UPDATE ship SET name = CASE WHEN id = 1 THEN 'x;' ELSE 'y' END; /* ; */
  DELETE FROM ship WHERE note IS NULL;
END;
INSERT INTO ship (name) VALUES ('é😀'), ('--'), ('/*');
.tables
