-- name: know
INSERT INTO feeds (key, identity) VALUES (:key, :identity) ON CONFLICT (key) DO NOTHING;

-- name: identity
SELECT identity FROM feeds WHERE key = :key;

-- name: end_round
INSERT INTO rounds (key, etag, modified, at) VALUES (:key, :etag, :modified, :now)
ON CONFLICT (key) DO UPDATE SET etag = excluded.etag, modified = excluded.modified, at = excluded.at;

-- name: last_round
SELECT etag, modified, at FROM rounds WHERE key = :key;
