-- How do the stages of sleep differ by age and gender?
-- Rests on fct_user_day, window of 30 dates: each user's newest, if it ends in the last 7 dates of
-- the file, with 4 stage levels. Age is that of the year of the newest night. Groups of fewer users
-- than the setting min_group_size are left out.

SELECT
    CASE
        WHEN age_years < 35 THEN 'under 35'
        WHEN age_years < 55 THEN '35 to 54'
        WHEN age_years >= 55 THEN '55 and over'
        ELSE 'unknown'
    END AS age,
    coalesce(gender, 'unknown') AS gender,
    count(*) AS users,
    round(avg(tst_mean_s) / 3600, 2) AS sleep_h,
    round(100 * avg(light_of_tst_mean_fraction), 1) AS light_pct,
    round(100 * avg(deep_of_tst_mean_fraction), 1) AS deep_pct,
    round(100 * avg(rem_of_tst_mean_fraction), 1) AS rem_pct
FROM (
    SELECT d.*, u.gender, year(d.night_date) - u.birth_year AS age_years
    FROM fct_user_day AS d
    LEFT JOIN dim_user AS u USING (user_id)
    WHERE d.window_days = 30
        AND d.deep_of_tst_mean_fraction IS NOT NULL
        AND d.night_date > (SELECT max(night_date) FROM fct_night) - 7
        AND ($organisation IS NULL OR d.org_id = $organisation)
    QUALIFY row_number() OVER (PARTITION BY d.user_id ORDER BY d.night_date DESC) = 1
)
GROUP BY 1, 2
HAVING count(*) >= (
    SELECT max(min_group_size) FROM dim_organisation WHERE $organisation IS NULL OR org_id = $organisation
)
ORDER BY min(age_years), gender
