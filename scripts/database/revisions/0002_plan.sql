-- The plan of history work, leased page by page, and the predecessor's table for tests.

CREATE TABLE fetch_jobs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    exchange text NOT NULL,
    span tstzrange NOT NULL,
    state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'cancelled', 'failed')),
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    rows_written bigint NOT NULL DEFAULT 0,
    requests int NOT NULL DEFAULT 0,
    errors int NOT NULL DEFAULT 0,
    minutes_total bigint NOT NULL DEFAULT 0,
    note text NOT NULL DEFAULT ''
);
COMMENT ON TABLE fetch_jobs IS 'One request for history.';
COMMENT ON COLUMN fetch_jobs.id IS 'What queue messages carry.';
COMMENT ON COLUMN fetch_jobs.exchange IS 'As in symbol_exchange.';
COMMENT ON COLUMN fetch_jobs.span IS 'What was asked for, end excluded.';
COMMENT ON COLUMN fetch_jobs.state IS 'queued, running, done, cancelled, or failed: over, but some pages were refused.';
COMMENT ON COLUMN fetch_jobs.created_at IS 'When it was asked for.';
COMMENT ON COLUMN fetch_jobs.finished_at IS 'When nothing was left to do.';
COMMENT ON COLUMN fetch_jobs.rows_written IS 'Candles that were new or changed.';
COMMENT ON COLUMN fetch_jobs.requests IS 'Pages answered or refused.';
COMMENT ON COLUMN fetch_jobs.errors IS 'Pages refused; ohlcvs_errors says why.';
COMMENT ON COLUMN fetch_jobs.minutes_total IS 'Minutes of all symbols that were not covered when the job was made.';
COMMENT ON COLUMN fetch_jobs.note IS 'For people.';

CREATE TABLE fetch_job_symbols (
    job_id bigint NOT NULL REFERENCES fetch_jobs (id) ON DELETE CASCADE,
    symbol_id int NOT NULL,
    remaining tstzmultirange NOT NULL,
    PRIMARY KEY (job_id, symbol_id)
);
CREATE INDEX fetch_job_symbols_newest_idx ON fetch_job_symbols (job_id, upper(remaining) DESC);
COMMENT ON TABLE fetch_job_symbols IS 'What of a job nobody has leased yet. A symbol without a row has nothing left.';
COMMENT ON COLUMN fetch_job_symbols.job_id IS 'fetch_jobs.id';
COMMENT ON COLUMN fetch_job_symbols.symbol_id IS 'symbol_exchange.id';
COMMENT ON COLUMN fetch_job_symbols.remaining IS 'Minutes still to lease.';

CREATE TABLE fetch_leases (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id bigint NOT NULL REFERENCES fetch_jobs (id) ON DELETE CASCADE,
    symbol_id int NOT NULL,
    span tstzrange NOT NULL,
    expires_at timestamptz NOT NULL,
    worker text NOT NULL
);
CREATE INDEX fetch_leases_symbol_idx ON fetch_leases (symbol_id);
CREATE INDEX fetch_leases_job_idx ON fetch_leases (job_id);
COMMENT ON TABLE fetch_leases IS 'Pages that a worker is asking for now. One that expires goes back to its job.';
COMMENT ON COLUMN fetch_leases.id IS 'Identity of the lease.';
COMMENT ON COLUMN fetch_leases.job_id IS 'fetch_jobs.id';
COMMENT ON COLUMN fetch_leases.symbol_id IS 'symbol_exchange.id';
COMMENT ON COLUMN fetch_leases.span IS 'The page''s minutes.';
COMMENT ON COLUMN fetch_leases.expires_at IS 'By the program''s clock, not the server''s.';
COMMENT ON COLUMN fetch_leases.worker IS 'Who holds it.';

CREATE TABLE test (
    id numeric NOT NULL,
    b varchar(20) NOT NULL,
    q varchar(20) NOT NULL,
    o numeric,
    c numeric,
    PRIMARY KEY (id, b, q)
);
COMMENT ON TABLE test IS 'For tests and /api/test only.';
COMMENT ON COLUMN test.id IS 'Any number.';
COMMENT ON COLUMN test.b IS 'Any text.';
COMMENT ON COLUMN test.q IS 'Any text.';
COMMENT ON COLUMN test.o IS 'Any number.';
COMMENT ON COLUMN test.c IS 'Any number.';
