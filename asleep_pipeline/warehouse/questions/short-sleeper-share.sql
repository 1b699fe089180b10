-- What share of users sleeps under 7 hours?
-- Rests on mart_org_week: users whose mean of all sleep of a date is below the setting
-- short_sleep_s (7 h unless set), of those with at least half of the week's nights; beside it their
-- main sleep alone, without naps. The last 12 weeks of the file; weeks with fewer users than the
-- setting min_group_size are left out.

SELECT
    org_id,
    week,
    users,
    round(100 * short_sleeper_fraction, 1) AS short_sleepers_pct,
    round(tst_p10_s / 3600, 2) AS main_sleep_p10_h,
    round(tst_median_s / 3600, 2) AS main_sleep_median_h
FROM mart_org_week
WHERE NOT is_suppressed
    AND week > (SELECT max(night_date) FROM fct_night) - 7 * 12
    AND ($organisation IS NULL OR org_id = $organisation)
ORDER BY org_id, week
