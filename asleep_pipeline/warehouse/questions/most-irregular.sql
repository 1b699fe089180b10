-- Whose sleep is the most irregular?
-- Rests on fct_user_day, window of 30 dates: each user's newest, if it ends in the last 7 dates of
-- the file. The ten with the lowest Sleep Regularity Index (100 is the same every day).

SELECT
    user_id,
    org_id,
    night_date AS until,
    nights_observed AS nights,
    round(sri, 1) AS sri,
    round(bed_sd_min)::INTEGER AS bed_sd_min,
    round(midpoint_sd_min)::INTEGER AS midpoint_sd_min,
    round(score_consistency, 1) AS score_consistency
FROM fct_user_day
WHERE window_days = 30
    AND sri IS NOT NULL
    AND night_date > (SELECT max(night_date) FROM fct_night) - 7
    AND ($organisation IS NULL OR org_id = $organisation)
QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY night_date DESC) = 1
ORDER BY fct_user_day.sri, user_id
LIMIT 10
