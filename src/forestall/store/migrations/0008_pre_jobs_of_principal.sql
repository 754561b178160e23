-- Who submitted a job, as a column: an agent reads its own jobs alone, in pages of its own.

ALTER TABLE jobs ADD COLUMN principal TEXT NOT NULL DEFAULT '';

UPDATE jobs SET principal = coalesce(json_extract(CAST(body AS TEXT), '$.principal'), '');

CREATE INDEX jobs_of_principal ON jobs (tenant, principal, updated_at_us DESC, job_id DESC);

CREATE INDEX jobs_of_principal_dead ON jobs (tenant, principal, dead_at_us DESC, job_id DESC)
WHERE dead_at_us > 0;

CREATE INDEX jobs_of_principal_asked ON jobs (tenant, principal, asked_at_us DESC, job_id DESC)
WHERE asked_at_us > 0;
