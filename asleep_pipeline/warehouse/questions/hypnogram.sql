-- What is the hypnogram of the last night?
-- Rests on the stages in sessions: the rows of fct_stage_run of the user's newest main sleep; without
-- a user, of one with the newest night of the file. Clock times are local.

SELECT
    user_id,
    session_id,
    run,
    CASE pieces[run][1]
        WHEN 'W' THEN 'wake' WHEN 'L' THEN 'light' WHEN 'D' THEN 'deep' WHEN 'R' THEN 'rem'
        ELSE 'unknown'
    END AS stage,
    local_time(
        started_at + to_seconds(30 * length(array_to_string(pieces[:run - 1], ''))),
        utc_offset_changes_at, utc_offset_start_min, utc_offset_end_min
    ) AS started_local,
    length(pieces[run]) / 2 AS length_min
FROM (
    SELECT *, unnest(range(1, len(pieces) + 1)) AS run
    FROM (
        SELECT f.*, regexp_extract_all(hypnogram(s.sleep_stages), 'W+|L+|D+|R+|U+') AS pieces
        FROM sessions AS s
        JOIN fct_session AS f USING (user_id, session_id)
        -- One session is chosen first: the view would unfold all of them.
        SEMI JOIN (
            SELECT user_id, main_session_id AS session_id
            FROM fct_night
            WHERE is_night AND ($user IS NULL OR user_id = $user)
            ORDER BY night_date DESC, user_id
            LIMIT 1
        ) AS asked USING (user_id, session_id)
    )
)
ORDER BY run
