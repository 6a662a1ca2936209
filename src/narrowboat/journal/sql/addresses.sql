-- The file of its own that these are about is HOME/addresses/addresses.db; where it is attached, it is called kept.

-- name: table
CREATE TABLE IF NOT EXISTS addresses (
    identity TEXT PRIMARY KEY,                             -- of the job
    address  TEXT NOT NULL                                 -- JSON
) STRICT, WITHOUT ROWID;

-- name: keep
INSERT INTO addresses (identity, address) VALUES (:identity, :address)
ON CONFLICT (identity) DO UPDATE SET address = excluded.address WHERE address IS NOT excluded.address;

-- name: get
SELECT address FROM addresses WHERE identity = :identity;

-- name: forget
DELETE FROM addresses WHERE identity = :identity;

-- name: attach
ATTACH :path AS kept;

-- name: forget_strays
DELETE FROM kept.addresses WHERE identity NOT IN (SELECT identity FROM jobs);

-- name: detach
DETACH kept;

-- name: not_looked_at
SELECT id, identity, source FROM jobs WHERE hidden IS NULL AND instr(source, '://') > 0;

-- name: hide
UPDATE jobs SET hidden = 1, source = :source WHERE id = :job;

-- name: looked_at
UPDATE jobs SET hidden = 0 WHERE hidden IS NULL;
