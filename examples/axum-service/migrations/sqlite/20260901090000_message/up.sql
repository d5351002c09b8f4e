CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    text TEXT NOT NULL CHECK (text <> '')
);
