-- How was everybody's last night?
-- Rests on fct_night: each user's newest night, if it is one of the last 7 dates of the file.
-- Clock times are local; naps of the date are in sleep_24h_h. Stages are NULL with 2 stage levels.

SELECT
    user_id,
    org_id,
    night_date,
    clock_text(bed_min) AS bed,
    clock_text(rise_min) AS rise,
    round(tst_s / 3600, 2) AS sleep_h,
    round(sleep_24h_s / 3600, 2) AS sleep_24h_h,
    round(100 * efficiency_fraction, 1) AS efficiency_pct,
    round(sol_s / 60, 1) AS latency_min,
    round(waso_s / 60, 1) AS waso_min,
    round(deep_s / 60, 1) AS deep_min,
    round(rem_s / 60, 1) AS rem_min,
    quality
FROM fct_night
WHERE is_night
    AND night_date > (SELECT max(night_date) FROM fct_night) - 7
    AND ($user IS NULL OR user_id = $user)
    AND ($organisation IS NULL OR org_id = $organisation)
QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY night_date DESC) = 1
ORDER BY org_id, user_id
