SELECT
    user_id,
    session_id,
    night_date,
    run,
    stage,
    first_epoch,
    epochs,
    30 * epochs AS length_s,
    started_at + to_seconds(30 * first_epoch) AS started_at,
    started_at + to_seconds(30 * (first_epoch + epochs)) AS ended_at,
    local_time(
        started_at + to_seconds(30 * first_epoch),
        utc_offset_changes_at, utc_offset_start_min, utc_offset_end_min
    ) AS started_local,
    local_time(
        started_at + to_seconds(30 * (first_epoch + epochs)),
        utc_offset_changes_at, utc_offset_start_min, utc_offset_end_min
    ) AS ended_local
FROM (
    SELECT
        * EXCLUDE (piece),
        CASE piece[1]
            WHEN 'W' THEN 'wake' WHEN 'L' THEN 'light' WHEN 'D' THEN 'deep' WHEN 'R' THEN 'rem'
            ELSE 'unknown'
        END AS stage,
        length(piece) AS epochs,
        (sum(length(piece)) OVER (
            PARTITION BY user_id, session_id, night_date ORDER BY run
        ) - length(piece))::INTEGER AS first_epoch
    FROM (
        SELECT
            * EXCLUDE (pieces),
            unnest(pieces) AS piece,
            unnest(range(1, len(pieces) + 1))::INTEGER AS run
        FROM (
            SELECT
                s.user_id,
                s.session_id,
                s.night_date,
                s.started_at,
                s.utc_offset_start_min,
                s.utc_offset_end_min,
                f.utc_offset_changes_at,
                regexp_extract_all(hypnogram(s.sleep_stages), 'W+|L+|D+|R+|U+') AS pieces
            FROM sessions AS s
            JOIN fct_session AS f
                ON f.user_id = s.user_id AND f.session_id = s.session_id
        )
    )
)
