-- The first tables. Text compares byte by byte everywhere: SQLite's default collation, BINARY.
-- Times are microseconds since the Unix epoch, UTC. `body` is the whole value as JSON; the columns
-- beside it are what we search by. The payload stands last, so that a listing never reads it.

CREATE TABLE jobs (
    tenant        TEXT NOT NULL,
    job_id        TEXT NOT NULL,
    trace_id      TEXT NOT NULL,
    state         TEXT NOT NULL,
    topic         TEXT NOT NULL,
    updated_at_us INTEGER NOT NULL,
    body          BLOB NOT NULL,
    payload       BLOB NOT NULL,
    PRIMARY KEY (tenant, job_id)
) STRICT;

CREATE INDEX jobs_newest ON jobs (tenant, updated_at_us DESC, job_id DESC);

CREATE INDEX jobs_newest_in_state ON jobs (tenant, state, updated_at_us DESC, job_id DESC);

CREATE INDEX jobs_of_trace ON jobs (tenant, trace_id);

-- `seq` counts the decisions on one job from 0, in the order in which they were committed.
CREATE TABLE decisions (
    tenant TEXT NOT NULL,
    job_id TEXT NOT NULL,
    seq    INTEGER NOT NULL CHECK (seq >= 0),
    body   BLOB NOT NULL,
    PRIMARY KEY (tenant, job_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency (
    tenant         TEXT NOT NULL,
    key            TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    job_id         TEXT NOT NULL,
    PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE api_keys (
    key_id        TEXT NOT NULL PRIMARY KEY,
    tenant        TEXT NOT NULL,
    name          TEXT NOT NULL,
    created_at_us INTEGER NOT NULL,
    revoked_at_us INTEGER,
    body          BLOB NOT NULL
) STRICT;

CREATE INDEX api_keys_unrevoked ON api_keys (tenant, name) WHERE revoked_at_us IS NULL;

CREATE TABLE snapshots (
    seq             INTEGER PRIMARY KEY,
    digest          TEXT NOT NULL,
    activated_at_us INTEGER NOT NULL,
    body            BLOB NOT NULL
) STRICT;

-- The audit log: `record` is the canonical leaf, `link` the chain value of forestall.audit.chain.
CREATE TABLE log (
    position INTEGER PRIMARY KEY CHECK (position >= 0),
    tenant   TEXT NOT NULL,
    kind     TEXT NOT NULL,
    job_id   TEXT NOT NULL,
    at_us    INTEGER NOT NULL,
    record   BLOB NOT NULL,
    link     BLOB NOT NULL CHECK (length(link) = 32)
) STRICT;

-- What was decided and recorded stays. The chain would betray a change; these refuse it.
-- A REPLACE deletes without asking the DELETE triggers, hence those on INSERT.
CREATE TRIGGER log_only_grows BEFORE INSERT ON log
WHEN EXISTS (SELECT 1 FROM log WHERE position >= NEW.position)
BEGIN
    SELECT RAISE(ABORT, 'the log is append-only');
END;

CREATE TRIGGER log_never_updated BEFORE UPDATE ON log
BEGIN
    SELECT RAISE(ABORT, 'the log is append-only');
END;

CREATE TRIGGER log_never_deleted BEFORE DELETE ON log
BEGIN
    SELECT RAISE(ABORT, 'the log is append-only');
END;

CREATE TRIGGER decisions_only_grow BEFORE INSERT ON decisions
WHEN EXISTS (
    SELECT 1 FROM decisions
    WHERE tenant = NEW.tenant AND job_id = NEW.job_id AND seq >= NEW.seq
)
BEGIN
    SELECT RAISE(ABORT, 'decisions are append-only');
END;

CREATE TRIGGER decisions_never_updated BEFORE UPDATE ON decisions
BEGIN
    SELECT RAISE(ABORT, 'decisions are append-only');
END;

CREATE TRIGGER decisions_never_deleted BEFORE DELETE ON decisions
BEGIN
    SELECT RAISE(ABORT, 'decisions are append-only');
END;
