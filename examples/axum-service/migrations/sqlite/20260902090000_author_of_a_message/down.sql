ALTER TABLE message DROP COLUMN author;
