-- How long does falling asleep take, on a usual night and on a bad one?
-- Rests on fct_night: median and 90th percentile of the sleep onset latency of a user's nights of
-- the last 30 dates of the file. The slowest come first.

SELECT
    user_id,
    org_id,
    count(*) AS nights,
    round(median(sol_s) / 60, 1) AS latency_p50_min,
    round(quantile_cont(sol_s, 0.9) / 60, 1) AS latency_p90_min
FROM fct_night
WHERE is_night
    AND night_date > (SELECT max(night_date) FROM fct_night) - 30
    AND ($user IS NULL OR user_id = $user)
    AND ($organisation IS NULL OR org_id = $organisation)
GROUP BY user_id, org_id
ORDER BY latency_p90_min DESC, user_id
