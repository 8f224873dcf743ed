"""The tables of event state in Postgres, and the function that is one exchange."""

from __future__ import annotations

from promise.state.database import Migrations

_EXCHANGE_FUNCTION = """
CREATE FUNCTION promise_feature_exchange(
    p_event TEXT, p_at BIGINT, p_keys TEXT[], p_frame BYTEA, p_retention BIGINT, p_remember BIGINT
) RETURNS TABLE (key TEXT, base BIGINT, version BIGINT, snapshot BYTEA, tail BYTEA, given TEXT)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_now BIGINT := promise_feature_now();
    v_until BIGINT := v_now + p_retention + LEAST(GREATEST(p_at - v_now, 0), p_retention);
    v_given TEXT;
    v_seen BIGINT;
BEGIN
    SELECT e.given, e.seen_us INTO v_given, v_seen
        FROM feature_events e WHERE e.event_id = p_event;
    IF FOUND AND v_seen > v_now - p_remember THEN
        -- one row at least, so that the caller learns that the event is known
        RETURN QUERY SELECT k, e.base, e.version, e.snapshot, e.tail, v_given
            FROM unnest(p_keys) AS k
            LEFT JOIN feature_entities e ON e.key = k AND e.until_us > v_now;
        RETURN;
    ELSIF FOUND THEN
        DELETE FROM feature_events e WHERE e.event_id = p_event AND e.seen_us = v_seen;
    END IF;
    -- rows are locked in the order of keys, so that two events never wait for each other; where
    -- the same event comes twice at once, the second fails on the event's key and is sent again
    RETURN QUERY
    WITH put AS (
        INSERT INTO feature_entities AS e (key, base, version, snapshot, tail, until_us)
        SELECT k, v_now, v_now + 1, NULL, p_frame, v_until
            FROM (SELECT unnest(p_keys) COLLATE "C" AS k ORDER BY 1) AS sorted
        ON CONFLICT (key) DO UPDATE SET
            base = CASE WHEN e.until_us <= v_now THEN e.version + 1 ELSE e.base END,
            version = e.version + CASE WHEN e.until_us <= v_now THEN 2 ELSE 1 END,
            snapshot = CASE WHEN e.until_us <= v_now THEN NULL ELSE e.snapshot END,
            tail = CASE WHEN e.until_us <= v_now THEN p_frame ELSE e.tail || p_frame END,
            until_us = GREATEST(e.until_us, v_until)
        RETURNING e.key, e.base, e.version, e.snapshot, e.tail
    ), noted AS (
        INSERT INTO feature_events (event_id, given, seen_us)
        SELECT p_event, jsonb_object_agg(put.key, put.version)::TEXT, v_now FROM put
    )
    SELECT put.key, put.base, put.version, put.snapshot, put.tail, NULL::TEXT FROM put;
END $$
"""

FEATURE_STATE = Migrations(
    "feature_state",
    (
        # room on each page, so that an append rewrites the row where it lies
        """CREATE TABLE feature_entities (
            key TEXT COLLATE "C" PRIMARY KEY,
            base BIGINT NOT NULL,
            version BIGINT NOT NULL,
            snapshot BYTEA,
            tail BYTEA NOT NULL,
            until_us BIGINT NOT NULL
        ) WITH (fillfactor = 50)""",
        """CREATE TABLE feature_events (
            event_id TEXT COLLATE "C" PRIMARY KEY,
            given TEXT NOT NULL,
            seen_us BIGINT NOT NULL
        )""",
        "CREATE INDEX feature_events_by_time ON feature_events (seen_us)",
        """CREATE FUNCTION promise_feature_now() RETURNS BIGINT LANGUAGE sql VOLATILE AS
        $$ SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT $$""",
        _EXCHANGE_FUNCTION,
    ),
)
"""An entity's row is its snapshot and framed tail; an event's row tells the versions it gave."""
