-- When somebody was asked to approve a job; 0: nobody was. Approvals are listed by it.

ALTER TABLE jobs ADD COLUMN asked_at_us INTEGER NOT NULL DEFAULT 0;

CREATE INDEX jobs_asked ON jobs (tenant, asked_at_us DESC, job_id DESC) WHERE asked_at_us > 0;

CREATE INDEX jobs_asked_open ON jobs (tenant, asked_at_us DESC, job_id DESC)
WHERE state = 'APPROVAL_REQUIRED';
