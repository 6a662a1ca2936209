-- name: by_key
SELECT * FROM steps WHERE job = :job AND key = :key;

-- name: by_id
SELECT * FROM steps WHERE job = :job AND id = :step;

-- name: insert
INSERT INTO steps (job, key, name, version, input_hash)
VALUES (:job, :key, :name, :version, :input_hash);

-- name: reset
UPDATE steps
SET name = :name, version = :version, input_hash = :input_hash,
    state = 'running', result = NULL, items = 0, cursor = NULL
WHERE id = :step;

-- name: forget_items
DELETE FROM items WHERE step = :step;

-- name: forgive
UPDATE attempts SET forgiven = 1, first_item = 0 WHERE step = :step;

-- name: finish
UPDATE steps SET state = 'done', result = :result WHERE id = :step AND job = :job;

-- name: count_item
UPDATE steps SET items = items + 1, cursor = :cursor
WHERE id = :step AND job = :job AND items = :seq AND state = 'running';

-- name: insert_item
INSERT INTO items (step, seq, value) VALUES (:step, :seq, :value);

-- name: alive
UPDATE jobs SET supervisor_deaths = 0 WHERE id = :job AND supervisor_deaths > 0;

-- name: page
SELECT seq, value FROM items
WHERE step = (SELECT id FROM steps WHERE job = :job AND key = :key) AND seq > :after
ORDER BY seq LIMIT :limit;

-- name: values
SELECT value FROM items
WHERE step = (SELECT id FROM steps WHERE job = :job AND key = :key) ORDER BY seq;
