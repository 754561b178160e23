-- What the check of a result found, and the original where it was not released, which only the
-- keyring can read. `findings` is JSON and never holds what was found.

CREATE TABLE outputs (
    tenant        TEXT NOT NULL,
    job_id        TEXT NOT NULL,
    checked_at_us INTEGER NOT NULL,
    findings      BLOB NOT NULL,
    key_id        TEXT,
    nonce         BLOB,
    box           BLOB,
    PRIMARY KEY (tenant, job_id)
) STRICT;

CREATE INDEX outputs_sealed ON outputs (checked_at_us, tenant, job_id) WHERE box IS NOT NULL;
