-- Who may use the web with a key of its own; docs/howto/open-to-others.md.

CREATE TABLE api_keys (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    scope text NOT NULL CHECK (scope IN ('read', 'write', 'admin')),
    per_minute integer NOT NULL CHECK (per_minute > 0),
    digest bytea NOT NULL UNIQUE,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    used_at timestamptz,
    revoked_at timestamptz
);
COMMENT ON TABLE api_keys IS 'Keys for the web; candlehouse keys adds and revokes them. None can be read back from here.';
COMMENT ON COLUMN api_keys.id IS 'Its number.';
COMMENT ON COLUMN api_keys.name IS 'Whose it is, in a person''s words.';
COMMENT ON COLUMN api_keys.scope IS 'read, write (read too) or admin (everything).';
COMMENT ON COLUMN api_keys.per_minute IS 'Requests a minute that it may make of one web process.';
COMMENT ON COLUMN api_keys.digest IS 'SHA-256 of the key, which is random and long: no more is needed to keep it secret.';
COMMENT ON COLUMN api_keys.created_at IS 'When it was made.';
COMMENT ON COLUMN api_keys.expires_at IS 'It opens nothing from then on; NULL: until it is revoked.';
COMMENT ON COLUMN api_keys.used_at IS 'When it was last used, within a minute; NULL: never.';
COMMENT ON COLUMN api_keys.revoked_at IS 'It opens nothing since then.';
