-- Times are milliseconds since 1970-01-01T00:00:00Z. A released migration never changes; the next one builds on it.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A short number for each check or group that was ever seen: results are many, and names are long.
CREATE TABLE subjects (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE checks (
    subject INTEGER PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('unknown', 'up', 'degraded', 'down')),
    since INTEGER,
    epoch INTEGER NOT NULL,
    fail_count INTEGER NOT NULL,
    passes INTEGER NOT NULL,
    warns INTEGER NOT NULL,
    cleans INTEGER NOT NULL,
    first_pass INTEGER,
    last_pass INTEGER,
    first_fail INTEGER,
    last_fail INTEGER,
    reason TEXT NOT NULL,
    target INTEGER NOT NULL
) STRICT;

-- Records: JSON, as the core writes it.
CREATE TABLE incidents (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT, WITHOUT ROWID;   -- open ones only
CREATE TABLE actions (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE lanes (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE channels (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
    row INTEGER PRIMARY KEY,            -- a new one at each change: those of settled ones are in their order
    key TEXT NOT NULL UNIQUE,
    sequence INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('due', 'started', 'done', 'dead', 'uncertain', 'superseded')),
    status_at INTEGER,                  -- since when, unless due
    pid INTEGER,                        -- of a started command
    start_ticks INTEGER,
    attempts INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    answer TEXT NOT NULL,
    durable INTEGER NOT NULL,
    intent TEXT NOT NULL                -- JSON
) STRICT;
CREATE INDEX outbox_unsettled ON outbox (sequence) WHERE status IN ('due', 'started');

CREATE TABLE transitions (
    row INTEGER PRIMARY KEY,
    subject INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    at INTEGER NOT NULL,
    from_state TEXT NOT NULL,
    to_state TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;
CREATE INDEX transitions_subject ON transitions (subject);

-- About 23 bytes for a pass. `at` is the time times 4096, plus a number that tells results of one millisecond apart: the
-- row's own key, so that rows lie in the order of time and the oldest are one range.
CREATE TABLE results (
    at INTEGER PRIMARY KEY,
    subject INTEGER NOT NULL,
    verdict INTEGER NOT NULL,           -- 0 pass, 1 warn, 2 fail, 3 local
    latency INTEGER NOT NULL,           -- microseconds
    fault TEXT,
    reason TEXT
) STRICT;

-- For people with sqlite3.
CREATE VIEW result_log AS
SELECT strftime('%FT%TZ', at / 4096 / 1000, 'unixepoch') AS at,
       id AS subject,
       CASE verdict WHEN 0 THEN 'pass' WHEN 1 THEN 'warn' WHEN 2 THEN 'fail' ELSE 'local' END AS verdict,
       latency / 1000.0 AS latency_ms,
       fault,
       reason
FROM results JOIN subjects ON key = results.subject;
