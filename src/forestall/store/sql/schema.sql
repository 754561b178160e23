-- What opening a database asks and sets, besides the migrations themselves.

-- name: create_schema_migrations
-- Which migrations were applied, and the digest of each file as it was then.
CREATE TABLE IF NOT EXISTS schema_migrations (
    version       INTEGER PRIMARY KEY,
    name          TEXT NOT NULL,
    sha256        TEXT NOT NULL,
    applied_at_us INTEGER NOT NULL
) STRICT

-- name: applied_migrations
-- What was applied, in order.
SELECT version, name, sha256 FROM schema_migrations ORDER BY version

-- name: insert_migration
-- Remember that a migration was applied, by SQLite's own clock (for people; nothing decides on it).
INSERT INTO schema_migrations (version, name, sha256, applied_at_us)
VALUES (?, ?, ?, CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER))

-- name: count_tables
-- How much is in the file: 0 for a new one.
SELECT count(*) FROM sqlite_schema
