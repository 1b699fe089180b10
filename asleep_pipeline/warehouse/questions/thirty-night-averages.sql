-- What are everybody's averages over thirty nights?
-- Rests on fct_user_day, window of 30 dates: each user's newest, if it ends in the last 7 dates of
-- the file. Averages are NULL below 15 nights, shares of stages with 2 stage levels.

SELECT
    user_id,
    org_id,
    night_date AS until,
    nights_observed AS nights,
    round(tst_mean_s / 3600, 2) AS sleep_h,
    round(sleep_24h_mean_s / 3600, 2) AS sleep_24h_h,
    round(100 * efficiency_mean_fraction, 1) AS efficiency_pct,
    round(sol_mean_s / 60, 1) AS latency_min,
    round(waso_mean_s / 60, 1) AS waso_min,
    round(100 * deep_of_tst_mean_fraction, 1) AS deep_pct,
    round(100 * rem_of_tst_mean_fraction, 1) AS rem_pct,
    round(sri, 1) AS sri,
    round(score, 1) AS score
FROM fct_user_day
WHERE window_days = 30
    AND night_date > (SELECT max(night_date) FROM fct_night) - 7
    AND ($user IS NULL OR user_id = $user)
    AND ($organisation IS NULL OR org_id = $organisation)
QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY night_date DESC) = 1
ORDER BY org_id, user_id
