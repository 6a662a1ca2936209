-- name: get
SELECT * FROM failed_sources WHERE key = :key;

-- name: put
INSERT INTO failed_sources (key, shown, failures, error, told, first, last, until)
VALUES (:key, CAST(:shown AS TEXT), :failures, :error, :told, :first, :last, :until)
ON CONFLICT (key) DO UPDATE SET shown = excluded.shown, failures = excluded.failures, error = excluded.error,
    told = excluded.told, first = excluded.first, last = excluded.last, until = excluded.until;

-- name: purge
DELETE FROM failed_sources WHERE last <= :before;

-- name: forget
DELETE FROM failed_sources WHERE key = :key;

-- name: forget_meant
DELETE FROM failed_sources
WHERE :all OR key = :key OR shown = CAST(:shown AS TEXT) OR (:beginning <> '' AND substr(key, 1, length(:beginning)) = :beginning)
RETURNING CAST(shown AS BLOB) AS shown;

-- name: newest
SELECT * FROM failed_sources WHERE last > :after ORDER BY last DESC, key;
