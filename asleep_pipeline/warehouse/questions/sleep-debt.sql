-- Who slept less than needed over two weeks?
-- Rests on fct_user_day, window of 14 dates: each user's newest, if it ends in the last 7 dates of
-- the file. Debt is need minus all sleep, summed over the nights there are, at least 0; NULL below 7.

SELECT
    user_id,
    org_id,
    night_date AS until,
    nights_observed AS nights,
    round(sleep_need_s / 3600, 2) AS need_h,
    round(sleep_24h_mean_s / 3600, 2) AS sleep_24h_h,
    round(sleep_debt_s / 3600, 2) AS debt_h
FROM fct_user_day
WHERE window_days = 14
    AND night_date > (SELECT max(night_date) FROM fct_night) - 7
    AND ($user IS NULL OR user_id = $user)
    AND ($organisation IS NULL OR org_id = $organisation)
QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY night_date DESC) = 1
ORDER BY debt_h DESC NULLS LAST, user_id
