-- name: know
INSERT INTO feeds (key, identity) VALUES (:key, :identity) ON CONFLICT (key) DO NOTHING;

-- name: identity
SELECT identity FROM feeds WHERE key = :key;

-- name: end_round
INSERT INTO rounds (key, etag, modified, at) VALUES (:key, :etag, :modified, :now)
ON CONFLICT (key) DO UPDATE SET etag = excluded.etag, modified = excluded.modified, at = excluded.at;

-- name: last_round
SELECT etag, modified, at FROM rounds WHERE key = :key;

-- name: see
INSERT INTO seen (key, guid) VALUES (:key, :guid) ON CONFLICT DO NOTHING;

-- name: seen
SELECT guid FROM seen WHERE key = :key;

-- name: watch
INSERT INTO watched (job, key, published) VALUES (:job, :key, :published);

-- name: watched
SELECT job, published, state, reason, created, ended FROM watched JOIN jobs ON jobs.id = watched.job
WHERE key = :key ORDER BY coalesce(published, created) DESC, jobs.number;
