SELECT
    user_id,
    session_id,
    night_date,
    cycle,
    onset_at + to_seconds(30 * coalesce(ends[cycle - 1], 0)) AS started_at,
    onset_at + to_seconds(30 * ends[cycle]) AS ended_at,
    30 * (ends[cycle] - coalesce(ends[cycle - 1], 0)) AS length_s
FROM (
    SELECT *, unnest(range(1, len(ends) + 1))::INTEGER AS cycle
    FROM (
        SELECT
            s.user_id,
            s.session_id,
            s.night_date,
            f.onset_at,
            cycle_ends(rem_clusters(sleep_period(hypnogram(s.sleep_stages)))) AS ends
        FROM sessions AS s
        JOIN fct_session AS f
            ON f.user_id = s.user_id AND f.session_id = s.session_id
        WHERE f.cycles > 0
    )
)
