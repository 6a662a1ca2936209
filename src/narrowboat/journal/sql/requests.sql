-- name: keep_request
INSERT INTO requests (key, request, job, created) VALUES (:key, :request, :job, :now)
ON CONFLICT (key) DO UPDATE SET request = excluded.request, job = excluded.job, created = excluded.created;

-- name: request
SELECT request, job FROM requests WHERE key = :key;
