-- What the readers ask, each statement in a transaction of its own.

-- name: job
-- One job with its payload.
SELECT jobs.body, payloads.payload
FROM jobs INNER JOIN payloads USING (tenant, job_id)
WHERE tenant = ? AND job_id = ?

-- name: jobs
-- A page of one tenant's jobs, newest change first.
SELECT body FROM jobs
WHERE tenant = :tenant
    AND (:topic = '' OR topic = :topic)
    AND updated_at_us > :after_us
    AND updated_at_us < :before_us
    AND (updated_at_us, job_id) < (:cursor_us, :cursor_id)
ORDER BY updated_at_us DESC, job_id DESC
LIMIT :limit

-- name: jobs_in_state
-- The same for one state, along the index of states.
SELECT body FROM jobs
WHERE tenant = :tenant
    AND state = :state
    AND (:topic = '' OR topic = :topic)
    AND updated_at_us > :after_us
    AND updated_at_us < :before_us
    AND (updated_at_us, job_id) < (:cursor_us, :cursor_id)
ORDER BY updated_at_us DESC, job_id DESC
LIMIT :limit

-- name: jobs_of_trace
-- The same for one trace, which has few jobs: they are found first and sorted afterwards.
SELECT body FROM jobs INDEXED BY jobs_of_trace
WHERE tenant = :tenant
    AND trace_id = :trace_id
    AND (:state = '' OR state = :state)
    AND (:topic = '' OR topic = :topic)
    AND updated_at_us > :after_us
    AND updated_at_us < :before_us
    AND (updated_at_us, job_id) < (:cursor_us, :cursor_id)
ORDER BY updated_at_us DESC, job_id DESC
LIMIT :limit

-- name: jobs_dead
-- The same for dead letters, the last to die first.
SELECT body FROM jobs
WHERE tenant = :tenant
    AND dead_at_us > 0
    AND (:state = '' OR state = :state)
    AND (:topic = '' OR topic = :topic)
    AND updated_at_us > :after_us
    AND updated_at_us < :before_us
    AND (dead_at_us, job_id) < (:cursor_us, :cursor_id)
ORDER BY dead_at_us DESC, job_id DESC
LIMIT :limit

-- name: jobs_asked
-- The same for jobs that somebody was asked to approve, the last asked first.
SELECT body FROM jobs
WHERE tenant = :tenant
    AND asked_at_us > 0
    AND (:state = '' OR state = :state)
    AND (:topic = '' OR topic = :topic)
    AND updated_at_us > :after_us
    AND updated_at_us < :before_us
    AND (asked_at_us, job_id) < (:cursor_us, :cursor_id)
ORDER BY asked_at_us DESC, job_id DESC
LIMIT :limit

-- name: jobs_asked_open
-- The same for those that still wait.
SELECT body FROM jobs
WHERE tenant = :tenant
    AND state = 'APPROVAL_REQUIRED'
    AND (:topic = '' OR topic = :topic)
    AND updated_at_us > :after_us
    AND updated_at_us < :before_us
    AND (asked_at_us, job_id) < (:cursor_us, :cursor_id)
ORDER BY asked_at_us DESC, job_id DESC
LIMIT :limit

-- name: jobs_of_principal
-- A page of the jobs that one principal submitted, newest change first.
SELECT body FROM jobs INDEXED BY jobs_of_principal
WHERE tenant = :tenant
    AND principal = :principal
    AND (:state = '' OR state = :state)
    AND (:topic = '' OR topic = :topic)
    AND (:trace_id = '' OR trace_id = :trace_id)
    AND updated_at_us > :after_us
    AND updated_at_us < :before_us
    AND (updated_at_us, job_id) < (:cursor_us, :cursor_id)
ORDER BY updated_at_us DESC, job_id DESC
LIMIT :limit

-- name: jobs_of_principal_and_trace
-- The same for one trace, which has few jobs: they are found first and sorted afterwards.
SELECT body FROM jobs INDEXED BY jobs_of_trace
WHERE tenant = :tenant
    AND trace_id = :trace_id
    AND principal = :principal
    AND (:state = '' OR state = :state)
    AND (:topic = '' OR topic = :topic)
    AND updated_at_us > :after_us
    AND updated_at_us < :before_us
    AND (updated_at_us, job_id) < (:cursor_us, :cursor_id)
ORDER BY updated_at_us DESC, job_id DESC
LIMIT :limit

-- name: jobs_of_principal_dead
-- The same for dead letters, the last to die first.
SELECT body FROM jobs INDEXED BY jobs_of_principal_dead
WHERE tenant = :tenant
    AND principal = :principal
    AND dead_at_us > 0
    AND (:state = '' OR state = :state)
    AND (:topic = '' OR topic = :topic)
    AND updated_at_us > :after_us
    AND updated_at_us < :before_us
    AND (dead_at_us, job_id) < (:cursor_us, :cursor_id)
ORDER BY dead_at_us DESC, job_id DESC
LIMIT :limit

-- name: jobs_of_principal_asked
-- The same for jobs that somebody was asked to approve, the last asked first.
SELECT body FROM jobs INDEXED BY jobs_of_principal_asked
WHERE tenant = :tenant
    AND principal = :principal
    AND asked_at_us > 0
    AND (:state = '' OR state = :state)
    AND (:topic = '' OR topic = :topic)
    AND updated_at_us > :after_us
    AND updated_at_us < :before_us
    AND (asked_at_us, job_id) < (:cursor_us, :cursor_id)
ORDER BY asked_at_us DESC, job_id DESC
LIMIT :limit

-- name: submitter
-- Who submitted one job.
SELECT job_id, principal FROM jobs WHERE tenant = ? AND job_id = ?

-- name: submitters
-- Who submitted each of these jobs; the ids are a JSON list.
SELECT job_id, principal FROM jobs
WHERE tenant = ? AND job_id IN (SELECT value FROM json_each(?))

-- name: open_jobs
-- A page of the unfinished jobs of all tenants, oldest first.
SELECT body FROM jobs
WHERE open = 1 AND (created_at_us, tenant, job_id) > (?, ?, ?)
ORDER BY created_at_us, tenant, job_id
LIMIT ?

-- name: result
-- What the last attempt of a job answered.
SELECT result FROM results WHERE tenant = ? AND job_id = ?

-- name: output
-- What the check of a job's result found.
SELECT checked_at_us, findings FROM outputs WHERE tenant = ? AND job_id = ?

-- name: entry
-- One registry entry.
SELECT tenant, kind, name, revision, updated_at_us, body FROM registry
WHERE tenant = ? AND kind = ? AND name = ?

-- name: entries
-- Every registry entry of a kind.
SELECT tenant, kind, name, revision, updated_at_us, body FROM registry
WHERE kind = ?
ORDER BY tenant, name

-- name: latest_entries
-- Registry entries of a kind, the greatest name first.
SELECT tenant, kind, name, revision, updated_at_us, body FROM registry
WHERE tenant = ? AND kind = ?
ORDER BY name DESC
LIMIT ?

-- name: entries_before
-- Which entries of a kind last changed before an instant, oldest first.
SELECT tenant, name, revision, updated_at_us FROM registry
WHERE kind = ? AND updated_at_us < ?
ORDER BY updated_at_us, tenant, name
LIMIT ?

-- name: job_count
-- How many jobs there are, over all tenants.
SELECT count(*) FROM jobs

-- name: decisions
-- The decisions on one job, newest first.
SELECT body FROM decisions WHERE tenant = ? AND job_id = ? ORDER BY seq DESC LIMIT ?

-- name: idempotency
-- What an idempotency key stands for.
SELECT request_digest, job_id FROM idempotency WHERE tenant = ? AND key = ?

-- name: links
-- The log from a position on.
SELECT position, record, link FROM log WHERE position >= ? ORDER BY position LIMIT ?

-- name: links_of_tenant
-- The same for one tenant.
SELECT position, record, link FROM log
WHERE tenant = ? AND position >= ?
ORDER BY position
LIMIT ?

-- name: links_of_job
-- The same for one job.
SELECT position, record, link FROM log
WHERE tenant = ? AND job_id = ? AND job_id <> '' AND position >= ?
ORDER BY position
LIMIT ?

-- name: log_end
-- Where the next record will stand.
SELECT coalesce(max(position) + 1, 0) FROM log
