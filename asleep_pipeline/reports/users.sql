-- One row a user (those for whom {only}): what the period from $start to $end says, beside the one before.

WITH subject AS (
    SELECT user_id, org_id, timezone, free_days, sleep_need_s, is_gone FROM dim_user WHERE {only}
),

present AS (
    SELECT * FROM {mart} WHERE {period} = $start AND {only}
),

earlier AS (
    SELECT * FROM {mart} WHERE {period} = $start_before AND {only}
),

remarkable AS (
    SELECT
        user_id,
        first(night_date ORDER BY points DESC, efficiency_fraction DESC NULLS LAST, night_date) AS best_night_date,
        first(night_date ORDER BY sleep_24h_s, night_date) AS shortest_night_date
    FROM (
        SELECT n.*, duration_points(n.sleep_24h_s, p.duration_bands, p.duration_otherwise) AS points
        FROM fct_night AS n
        CROSS JOIN mart_parameters AS p
        WHERE n.is_night AND n.night_date BETWEEN $start AND $end AND {only}
    )
    GROUP BY user_id
),

judged AS (
    SELECT user_id, {quality}
    FROM subject
    LEFT JOIN (
        SELECT user_id, session_id, quality, unknown_fraction
        FROM dq_session
        WHERE coalesce(night_date, start_date_local) BETWEEN $start AND $end AND {only}
    ) USING (user_id)
    GROUP BY user_id
),

-- Insights rest on windows that end with the last night of the period.
last_night AS (
    SELECT user_id, max(night_date) AS night_date
    FROM fct_user_day
    WHERE night_date BETWEEN $start AND $end AND {only}
    GROUP BY user_id
),

told AS (
    SELECT
        user_id,
        list(
            struct_pack(rule := rule, text := text, evidence := evidence, night_date := night_date)
            ORDER BY list_position($rules, rule)
        ) AS insights
    FROM insight
    SEMI JOIN last_night USING (user_id, night_date)
    WHERE night_date BETWEEN $start AND $end AND {only}
    GROUP BY user_id
)

SELECT
    subject.*,
    $kind AS period_kind,
    $key AS period,
    $start AS start_date,
    $end AS end_date,
    if(present.user_id IS NULL, 'no_nights', 'measured') AS status,
    $days AS nights_possible,
    coalesce(present.nights, 0) AS nights_observed,
    {figures},
    {changes},
    remarkable.best_night_date,
    remarkable.shortest_night_date,
    judged.* EXCLUDE (user_id),
    coalesce(told.insights, []) AS insights
FROM subject
LEFT JOIN present USING (user_id)
LEFT JOIN earlier USING (user_id)
LEFT JOIN remarkable USING (user_id)
LEFT JOIN judged USING (user_id)
LEFT JOIN told USING (user_id)
ORDER BY user_id
