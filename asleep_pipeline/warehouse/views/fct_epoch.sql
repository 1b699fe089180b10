SELECT
    user_id,
    session_id,
    night_date,
    epoch,
    epoch_at,
    local_time(epoch_at, utc_offset_changes_at, utc_offset_start_min, utc_offset_end_min) AS epoch_local,
    sleep_stages[epoch + 1] AS sleep_stage,
    breath_stages[epoch + 1] AS breath_stage,
    snoring_stages[epoch + 1] AS snoring_stage
FROM (
    SELECT *, started_at + to_seconds(30 * epoch) AS epoch_at
    FROM (
        SELECT
            s.user_id,
            s.session_id,
            s.night_date,
            s.started_at,
            s.utc_offset_start_min,
            s.utc_offset_end_min,
            f.utc_offset_changes_at,
            s.sleep_stages,
            s.breath_stages,
            s.snoring_stages,
            unnest(range(len(s.sleep_stages))) AS epoch
        FROM sessions AS s
        JOIN fct_session AS f
            ON f.user_id = s.user_id AND f.session_id = s.session_id
    )
)
