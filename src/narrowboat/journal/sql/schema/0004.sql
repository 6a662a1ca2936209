-- Version 4: what may lie in a remote store.

CREATE TABLE remote_files (                                -- outlives its job until the file is gone
    name    TEXT PRIMARY KEY,                              -- in its store; chosen before the upload
    job     TEXT NOT NULL,                                 -- empty for a call of no job
    remove  TEXT NOT NULL,                                 -- the step that removes it: module:function
    given   TEXT NOT NULL,                                 -- JSON, the step's input
    client  TEXT NOT NULL,                                 -- JSON, whose call it is
    created REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX remote_files_by_job ON remote_files (job);
