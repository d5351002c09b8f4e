-- What the script did.
INSERT INTO log (entry) VALUES ('one; two');
INSERT INTO log (entry) SELECT name FROM country WHERE code = 'NO';
UPDATE log SET entry = 'three' WHERE entry = 'Norway';
SELECT 1;
