-- What happened to the feeds, for people and programs; docs/reference/events.md.

CREATE TABLE events (
    id text PRIMARY KEY,
    time timestamptz NOT NULL,
    exchange text NOT NULL,
    kind text NOT NULL,
    market text NOT NULL DEFAULT '',
    detail text NOT NULL DEFAULT '',
    facts jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX events_exchange ON events (exchange, id);
COMMENT ON TABLE events IS 'What happened to the feeds: connected, lost, stale, refused, healed, gap, outage. Yours to delete from.';
COMMENT ON COLUMN events.id IS 'Sorts by time; the same in Redis, on the WebSocket and in webhooks.';
COMMENT ON COLUMN events.time IS 'When it happened.';
COMMENT ON COLUMN events.exchange IS 'Whose feed.';
COMMENT ON COLUMN events.kind IS 'connected, lost, stale, refused, healed, gap or outage.';
COMMENT ON COLUMN events.market IS 'BASE/QUOTE where it concerns one market, else empty.';
COMMENT ON COLUMN events.detail IS 'One sentence: the reason as far as it is known.';
COMMENT ON COLUMN events.facts IS 'Figures, named with their units, such as minutes, markets and silent_ms.';
