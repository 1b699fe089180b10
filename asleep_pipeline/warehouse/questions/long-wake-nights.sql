-- On how many nights was somebody awake for over 30 minutes after falling asleep?
-- Rests on fct_night: wake after sleep onset (WASO) of the nights of the last 30 dates of the file.

SELECT
    user_id,
    org_id,
    count(*) AS nights,
    count(*) FILTER (WHERE waso_s > 30 * 60) AS long_wake_nights,
    round(100 * long_wake_nights / nights, 1) AS long_wake_nights_pct,
    round(avg(waso_s) / 60, 1) AS waso_mean_min,
    round(max(waso_s) / 60, 1) AS waso_max_min
FROM fct_night
WHERE is_night
    AND night_date > (SELECT max(night_date) FROM fct_night) - 30
    AND ($user IS NULL OR user_id = $user)
    AND ($organisation IS NULL OR org_id = $organisation)
GROUP BY user_id, org_id
ORDER BY long_wake_nights_pct DESC, waso_mean_min DESC, user_id
