-- After one stage of sleep, which comes next?
-- Rests on the transitions counted in fct_session: main sleeps of the last 30 dates of the file with
-- 4 stage levels and not of poor quality. Without a user, nothing is shown of fewer users than the
-- setting min_group_size.

SELECT
    from_stage,
    sum(n)::BIGINT AS transitions,
    round(100 * sum(n) FILTER (WHERE to_stage = 'wake') / nullif(sum(n), 0), 1) AS to_wake_pct,
    round(100 * sum(n) FILTER (WHERE to_stage = 'light') / nullif(sum(n), 0), 1) AS to_light_pct,
    round(100 * sum(n) FILTER (WHERE to_stage = 'deep') / nullif(sum(n), 0), 1) AS to_deep_pct,
    round(100 * sum(n) FILTER (WHERE to_stage = 'rem') / nullif(sum(n), 0), 1) AS to_rem_pct
FROM (
    SELECT
        unnest(
            [
                {'from_stage': 'wake', 'to_stage': 'light', 'n': sum(wake_to_light)},
                {'from_stage': 'wake', 'to_stage': 'deep', 'n': sum(wake_to_deep)},
                {'from_stage': 'wake', 'to_stage': 'rem', 'n': sum(wake_to_rem)},
                {'from_stage': 'light', 'to_stage': 'wake', 'n': sum(light_to_wake)},
                {'from_stage': 'light', 'to_stage': 'deep', 'n': sum(light_to_deep)},
                {'from_stage': 'light', 'to_stage': 'rem', 'n': sum(light_to_rem)},
                {'from_stage': 'deep', 'to_stage': 'wake', 'n': sum(deep_to_wake)},
                {'from_stage': 'deep', 'to_stage': 'light', 'n': sum(deep_to_light)},
                {'from_stage': 'deep', 'to_stage': 'rem', 'n': sum(deep_to_rem)},
                {'from_stage': 'rem', 'to_stage': 'wake', 'n': sum(rem_to_wake)},
                {'from_stage': 'rem', 'to_stage': 'light', 'n': sum(rem_to_light)},
                {'from_stage': 'rem', 'to_stage': 'deep', 'n': sum(rem_to_deep)}
            ],
            recursive := true
        )
    FROM fct_session
    WHERE is_main_sleep
        AND stage_levels = 4
        AND quality <> 'poor'
        AND night_date > (SELECT max(night_date) FROM fct_night) - 30
        AND ($user IS NULL OR user_id = $user)
        AND ($organisation IS NULL OR org_id = $organisation)
    HAVING count(DISTINCT user_id) >= if(
        $user IS NULL,
        (SELECT max(min_group_size) FROM dim_organisation WHERE $organisation IS NULL OR org_id = $organisation),
        1
    )
)
GROUP BY from_stage
ORDER BY list_position(['wake', 'light', 'deep', 'rem'], from_stage)
