-- Whom to tell by HTTP of what happens to the feeds; docs/howto/get-told.md.

CREATE TABLE webhooks (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    url text NOT NULL,
    secret text NOT NULL,
    kinds text[] NOT NULL,
    created_at timestamptz NOT NULL,
    told_at timestamptz,
    failed_at timestamptz,
    failure text NOT NULL DEFAULT ''
);
COMMENT ON TABLE webhooks IS 'Addresses that are told of events by POST; candlehouse webhooks adds and removes them.';
COMMENT ON COLUMN webhooks.id IS 'Its number.';
COMMENT ON COLUMN webhooks.created_at IS 'When it was added; it is told of nothing that happened before.';
COMMENT ON COLUMN webhooks.url IS 'Where to post; it may hold a token of its owner.';
COMMENT ON COLUMN webhooks.secret IS 'What the signature of each message is made with.';
COMMENT ON COLUMN webhooks.kinds IS 'Which kinds of events it is told of.';
COMMENT ON COLUMN webhooks.told_at IS 'When it last took a message.';
COMMENT ON COLUMN webhooks.failed_at IS 'When it last did not.';
COMMENT ON COLUMN webhooks.failure IS 'What it answered then; empty once it has taken a message again.';
