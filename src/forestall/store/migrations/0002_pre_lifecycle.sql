-- Jobs move: `revision` tells two movers apart, `dead_at_us` puts a job on the dead letters, `open`
-- is 1 until the job is in a terminal state. What never changes leaves the row that does.

CREATE TABLE payloads (
    tenant  TEXT NOT NULL,
    job_id  TEXT NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (tenant, job_id)
) STRICT;

INSERT INTO payloads (tenant, job_id, payload) SELECT tenant, job_id, payload FROM jobs;

ALTER TABLE jobs DROP COLUMN payload;

ALTER TABLE jobs ADD COLUMN created_at_us INTEGER NOT NULL DEFAULT 0;

ALTER TABLE jobs ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;

ALTER TABLE jobs ADD COLUMN dead_at_us INTEGER NOT NULL DEFAULT 0;

ALTER TABLE jobs ADD COLUMN open INTEGER NOT NULL DEFAULT 0;

UPDATE jobs SET
    created_at_us = updated_at_us,
    open = state IN ('PENDING', 'APPROVAL_REQUIRED');

CREATE INDEX jobs_open ON jobs (created_at_us, tenant, job_id) WHERE open = 1;

CREATE INDEX jobs_dead ON jobs (tenant, dead_at_us DESC, job_id DESC) WHERE dead_at_us > 0;

-- What the last attempt of a job answered.
CREATE TABLE results (
    tenant TEXT NOT NULL,
    job_id TEXT NOT NULL,
    result BLOB NOT NULL,
    PRIMARY KEY (tenant, job_id)
) STRICT;

-- What operators declare under a name: topics, pools, schemas. `body` is the value as JSON.
CREATE TABLE registry (
    tenant        TEXT NOT NULL,
    kind          TEXT NOT NULL,
    name          TEXT NOT NULL,
    revision      INTEGER NOT NULL,
    updated_at_us INTEGER NOT NULL,
    body          BLOB NOT NULL,
    PRIMARY KEY (tenant, kind, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX log_of_tenant ON log (tenant, position);

CREATE TRIGGER payloads_never_updated BEFORE UPDATE ON payloads
BEGIN
    SELECT RAISE(ABORT, 'a payload never changes');
END;
