CREATE TABLE harbour (id INTEGER PRIMARY KEY, name VARCHAR(40) NOT NULL);
INSERT INTO harbour VALUES (1, 'Kiel; Förde'), (2, 'Split''s');
