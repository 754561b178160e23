-- An idempotency key belongs to the principal that sent it: the key is stored behind the principal's
-- name. Keys that the plane made itself (`forestall:...`) belong to the tenant, as before.

CREATE TABLE idempotency_of_principal (
    tenant         TEXT NOT NULL,
    key            TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    job_id         TEXT NOT NULL,
    PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;

INSERT INTO idempotency_of_principal (tenant, key, request_digest, job_id)
SELECT
    idempotency.tenant,
    iif(
        idempotency.key LIKE 'forestall:%',
        idempotency.key,
        json_extract(CAST(jobs.body AS TEXT), '$.principal') || ' ' || idempotency.key
    ),
    idempotency.request_digest,
    idempotency.job_id
FROM idempotency
INNER JOIN jobs ON jobs.tenant = idempotency.tenant AND jobs.job_id = idempotency.job_id;

DROP TABLE idempotency;

ALTER TABLE idempotency_of_principal RENAME TO idempotency;
