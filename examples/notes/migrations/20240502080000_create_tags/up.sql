CREATE TABLE tag (
    note_id INTEGER NOT NULL REFERENCES note (id),
    name TEXT NOT NULL,
    PRIMARY KEY (note_id, name)
);
