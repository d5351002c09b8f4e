ALTER TABLE message ADD COLUMN author text NOT NULL DEFAULT 'somebody';
