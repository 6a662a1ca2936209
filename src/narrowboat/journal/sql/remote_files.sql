-- name: add
INSERT INTO remote_files (name, job, remove, given, client, created)
VALUES (:name, :job, :remove, :given, :client, :now)
ON CONFLICT (name) DO UPDATE SET job = excluded.job, remove = excluded.remove, given = excluded.given,
    client = excluded.client, created = excluded.created;

-- name: gone
DELETE FROM remote_files WHERE name = :name;

-- name: of_job
SELECT * FROM remote_files WHERE job = :job ORDER BY created, name;

-- name: all
SELECT * FROM remote_files ORDER BY created, name;
