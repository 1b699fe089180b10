-- Who slept under 6 hours on three or more nights of the last week?
-- Rests on fct_night: nights of the last 7 dates of the file, with all sleep of the date.

SELECT
    user_id,
    org_id,
    count(*) AS nights,
    count(*) FILTER (WHERE sleep_24h_s < 6 * 3600) AS nights_under_6_h,
    round(min(sleep_24h_s) / 3600, 2) AS shortest_h,
    round(avg(sleep_24h_s) / 3600, 2) AS mean_h
FROM fct_night
WHERE is_night
    AND night_date > (SELECT max(night_date) FROM fct_night) - 7
    AND ($user IS NULL OR user_id = $user)
    AND ($organisation IS NULL OR org_id = $organisation)
GROUP BY user_id, org_id
HAVING nights_under_6_h >= 3
ORDER BY nights_under_6_h DESC, mean_h, user_id
