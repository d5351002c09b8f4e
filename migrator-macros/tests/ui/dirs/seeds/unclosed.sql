INSERT INTO role VALUES ('admin);
