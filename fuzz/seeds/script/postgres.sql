SET lock_timeout = '5s';
BEGIN;
CREATE FUNCTION f(a int DEFAULT 1) RETURNS int LANGUAGE plpgsql AS $body$ BEGIN; RETURN $1; END $body$;
CREATE FUNCTION g() RETURNS int BEGIN ATOMIC; SELECT CASE 1 WHEN 1 THEN 2 END; SELECT 1 AS end; END;
CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2);
DO $$ BEGIN PERFORM 'x;'; END $$; /* a /* nested ; */ comment */
SELECT E'it\'s;' '\\', U&"a;b", $1$2, 1$$;$$;
COMMIT;
