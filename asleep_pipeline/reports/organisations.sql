-- One row an organisation (those for which {only}): what the period from $start to $end says, beside
-- the one before. Nothing but its name of one that is suppressed.

WITH subject AS (
    SELECT org_id FROM dim_user WHERE {only}
    UNION
    SELECT org_id FROM {mart} WHERE {only}
),

present AS (
    SELECT * FROM {mart} WHERE {period} = $start AND {only}
),

earlier AS (
    SELECT * FROM {mart} WHERE {period} = $start_before AND {only}
),

shown AS (
    SELECT org_id, users, min_group_size FROM present JOIN dim_organisation USING (org_id) WHERE NOT is_suppressed
),

-- Whom the marts count.
enough AS (
    SELECT * FROM {of_users} SEMI JOIN shown USING (org_id) WHERE {period} = $start AND nights * 2 >= $days
),

roster AS (
    SELECT org_id, count(*) AS users_possible
    FROM dim_user
    SEMI JOIN shown USING (org_id)
    WHERE NOT is_gone OR user_id IN (SELECT user_id FROM enough)
    GROUP BY org_id
),

part AS (
    SELECT
        org_id,
        avg(score_efficiency) AS score_efficiency_mean,
        avg(score_consistency) AS score_consistency_mean,
        avg(score_duration) AS score_duration_mean
    FROM enough
    WHERE score IS NOT NULL
    GROUP BY org_id
),

judged AS (
    SELECT org_id, {quality}
    FROM dq_session
    SEMI JOIN shown USING (org_id)
    WHERE coalesce(night_date, start_date_local) BETWEEN $start AND $end
    GROUP BY org_id
),

last_night AS (
    SELECT user_id, max(night_date) AS night_date
    FROM fct_user_day
    SEMI JOIN enough USING (user_id)
    WHERE night_date BETWEEN $start AND $end
    GROUP BY user_id
),

rule_holds AS (
    SELECT enough.org_id, rule, count(*) AS holds
    FROM insight
    SEMI JOIN last_night USING (user_id, night_date)
    JOIN enough USING (user_id)
    WHERE insight.night_date BETWEEN $start AND $end
    GROUP BY enough.org_id, rule
),

-- A rule that holds for few, or for all but few, would tell who they are.
told AS (
    SELECT
        org_id,
        list(
            struct_pack(rule := rule, users := holds, users_fraction := holds / users)
            ORDER BY holds DESC, list_position($rules, rule)
        ) AS insights
    FROM rule_holds
    JOIN shown USING (org_id)
    WHERE least(holds, users - holds) >= min_group_size
    GROUP BY org_id
)

SELECT
    subject.org_id,
    $kind AS period_kind,
    $key AS period,
    $start AS start_date,
    $end AS end_date,
    CASE
        WHEN present.org_id IS NULL THEN 'no_nights' WHEN present.is_suppressed THEN 'suppressed' ELSE 'measured'
    END AS status,
    roster.users_possible,
    $days * present.users AS nights_possible,
    present.nights AS nights_observed,
    {figures},
    part.* EXCLUDE (org_id),
    coalesce(earlier.is_suppressed, false) AS is_suppressed_before,
    {changes},
    judged.* EXCLUDE (org_id),
    coalesce(told.insights, []) AS insights
FROM subject
LEFT JOIN present USING (org_id)
LEFT JOIN earlier USING (org_id)
LEFT JOIN roster USING (org_id)
LEFT JOIN part USING (org_id)
LEFT JOIN judged USING (org_id)
LEFT JOIN told USING (org_id)
ORDER BY org_id
