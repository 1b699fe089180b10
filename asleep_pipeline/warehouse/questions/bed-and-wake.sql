-- When does everybody go to bed and wake up, and how much does it vary?
-- Rests on fct_user_day, window of 30 dates: each user's newest, if it ends in the last 7 dates of
-- the file. Means and standard deviations are circular, clock times local, NULL below 15 nights.

SELECT
    user_id,
    org_id,
    night_date AS until,
    nights_observed AS nights,
    clock_text(bed_mean_min) AS bed,
    round(bed_sd_min)::INTEGER AS bed_sd_min,
    clock_text(wake_mean_min) AS wake,
    round(wake_sd_min)::INTEGER AS wake_sd_min,
    clock_text(midpoint_mean_min) AS midpoint,
    round(midpoint_sd_min)::INTEGER AS midpoint_sd_min
FROM fct_user_day
WHERE window_days = 30
    AND night_date > (SELECT max(night_date) FROM fct_night) - 7
    AND ($user IS NULL OR user_id = $user)
    AND ($organisation IS NULL OR org_id = $organisation)
QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY night_date DESC) = 1
ORDER BY org_id, user_id
