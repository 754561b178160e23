-- What the writer does, inside one transaction a group.

-- name: begin
-- Take the write lock now: a precondition read under a lock taken later could go stale.
BEGIN IMMEDIATE

-- name: commit
-- Make the group durable; returns after the WAL is synced.
COMMIT

-- name: rollback
-- Forget everything since `begin`.
ROLLBACK

-- name: head
-- The last position of the log and its link; no row when the log is empty.
SELECT position, link FROM log ORDER BY position DESC LIMIT 1

-- name: job_present
-- One row if this tenant has a job of this id.
SELECT 1 FROM jobs WHERE tenant = ? AND job_id = ?

-- name: idempotency_present
-- One row if somebody of this tenant used this key.
SELECT 1 FROM idempotency WHERE tenant = ? AND key = ?

-- name: job_unmoved
-- One row if the job is in this state at this revision.
SELECT 1 FROM jobs WHERE tenant = ? AND job_id = ? AND state = ? AND revision = ?

-- name: entry_revision
-- The revision of a registry entry; no row when there is none.
SELECT revision FROM registry WHERE tenant = ? AND kind = ? AND name = ?

-- name: insert_job
-- A job as it was born.
INSERT INTO jobs (
    tenant, job_id, trace_id, state, topic, created_at_us, updated_at_us,
    revision, dead_at_us, asked_at_us, open, principal, body
)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: insert_payload
-- What a job was born with; it never changes.
INSERT INTO payloads (tenant, job_id, payload) VALUES (?, ?, ?)

-- name: move_job
-- A job after something happened to it.
UPDATE jobs
SET
    state = ?, updated_at_us = ?, revision = ?, dead_at_us = ?, asked_at_us = ?, open = ?, body = ?
WHERE tenant = ? AND job_id = ?

-- name: append_decision
-- A later decision on a job, under the revision that it made.
INSERT INTO decisions (tenant, job_id, seq, body) VALUES (?, ?, ?, ?)

-- name: put_result
-- What the last attempt answered.
INSERT INTO results (tenant, job_id, result) VALUES (?, ?, ?)
ON CONFLICT (tenant, job_id) DO UPDATE SET result = excluded.result

-- name: put_output
-- What the check of a result found, new or in place of what an earlier one found.
INSERT INTO outputs (tenant, job_id, checked_at_us, findings)
VALUES (?, ?, ?, ?)
ON CONFLICT (tenant, job_id) DO UPDATE SET
    checked_at_us = excluded.checked_at_us,
    findings = excluded.findings

-- name: put_entry
-- A registry entry, new or in place of its revision before.
INSERT INTO registry (tenant, kind, name, revision, updated_at_us, body)
VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant, kind, name) DO UPDATE SET
    revision = excluded.revision,
    updated_at_us = excluded.updated_at_us,
    body = excluded.body

-- name: drop_entry
-- Remove a registry entry.
DELETE FROM registry WHERE tenant = ? AND kind = ? AND name = ?

-- name: insert_decision
-- The decision a job was born with.
INSERT INTO decisions (tenant, job_id, seq, body) VALUES (?, ?, 0, ?)

-- name: insert_idempotency
-- Which job a key stands for.
INSERT INTO idempotency (tenant, key, request_digest, job_id) VALUES (?, ?, ?, ?)

-- name: insert_log
-- One record at its position, chained to the one before.
INSERT INTO log (position, tenant, kind, job_id, at_us, record, link) VALUES (?, ?, ?, ?, ?, ?, ?)
