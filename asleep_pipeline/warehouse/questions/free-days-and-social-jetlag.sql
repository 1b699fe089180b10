-- How much longer and later do people sleep on free days than on work days?
-- Rests on fct_night: the last 30 dates of the file, of users with at least 15 nights, of which 2
-- on free days and 3 on work days. Social jetlag is the distance of the two midpoints of sleep.

SELECT
    user_id,
    org_id,
    nights_work,
    nights_free,
    round(sleep_work_s / 3600, 2) AS sleep_work_h,
    round(sleep_free_s / 3600, 2) AS sleep_free_h,
    clock_text(midpoint_work_min) AS midpoint_work,
    clock_text(midpoint_free_min) AS midpoint_free,
    round(social_jetlag(midpoint_free_min, midpoint_work_min))::INTEGER AS social_jetlag_min
FROM (
    SELECT
        user_id,
        org_id,
        count(*) FILTER (WHERE NOT is_free_day) AS nights_work,
        count(*) FILTER (WHERE is_free_day) AS nights_free,
        avg(sleep_24h_s) FILTER (WHERE NOT is_free_day) AS sleep_work_s,
        avg(sleep_24h_s) FILTER (WHERE is_free_day) AS sleep_free_s,
        clock_mean(
            avg(clock_sin(midpoint_min)) FILTER (WHERE NOT is_free_day),
            avg(clock_cos(midpoint_min)) FILTER (WHERE NOT is_free_day)
        ) AS midpoint_work_min,
        clock_mean(
            avg(clock_sin(midpoint_min)) FILTER (WHERE is_free_day),
            avg(clock_cos(midpoint_min)) FILTER (WHERE is_free_day)
        ) AS midpoint_free_min
    FROM fct_night
    WHERE is_night
        AND night_date > (SELECT max(night_date) FROM fct_night) - 30
        AND ($user IS NULL OR user_id = $user)
        AND ($organisation IS NULL OR org_id = $organisation)
    GROUP BY user_id, org_id
)
WHERE nights_work + nights_free >= 15 AND nights_work >= 3 AND nights_free >= 2
ORDER BY social_jetlag_min DESC, user_id
