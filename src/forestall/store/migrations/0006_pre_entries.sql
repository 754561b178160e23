-- API keys, the policies in force and sealed originals become registry entries: one table of named
-- values with a revision, and one precondition for all of them. `base64` is a function that the
-- migration is given; SQLite has none.

CREATE INDEX registry_of_kind ON registry (kind, tenant, name);

CREATE INDEX registry_by_age ON registry (kind, updated_at_us, tenant, name)
WHERE kind = 'original';

INSERT INTO registry (tenant, kind, name, revision, updated_at_us, body)
SELECT
    tenant, 'key', key_id, iif(revoked_at_us IS NULL, 1, 2), coalesce(revoked_at_us, created_at_us),
    body
FROM api_keys;

INSERT INTO registry (tenant, kind, name, revision, updated_at_us, body)
SELECT tenant, 'key_name', name, 1, created_at_us, CAST(json_quote(key_id) AS BLOB)
FROM api_keys
WHERE revoked_at_us IS NULL;

DROP TABLE api_keys;

INSERT INTO registry (tenant, kind, name, revision, updated_at_us, body)
SELECT 'default', 'activation', printf('%012d', seq), 1, activated_at_us, body
FROM snapshots;

INSERT INTO registry (tenant, kind, name, revision, updated_at_us, body)
SELECT
    'default', 'policy_in_force', 'policy', seq, activated_at_us,
    CAST(json_quote(digest) AS BLOB)
FROM snapshots
WHERE seq = (SELECT max(seq) FROM snapshots);

DROP TABLE snapshots;

INSERT INTO registry (tenant, kind, name, revision, updated_at_us, body)
SELECT
    tenant, 'original', job_id, 1, checked_at_us,
    CAST(
        '{"key_id":' || json_quote(key_id)
        || ',"nonce":"' || base64(nonce)
        || '","box":"' || base64(box) || '"}' AS BLOB
    )
FROM outputs
WHERE box IS NOT NULL;

DROP INDEX outputs_sealed;

ALTER TABLE outputs DROP COLUMN key_id;

ALTER TABLE outputs DROP COLUMN nonce;

ALTER TABLE outputs DROP COLUMN box;
