-- How does an organisation sleep, week by week?
-- Rests on mart_org_week: the last 12 weeks of the file, over users with at least half of a week's
-- nights. A week with fewer of them than the setting min_group_size is suppressed.

SELECT
    org_id,
    week,
    is_suppressed,
    users,
    nights,
    round(tst_mean_s / 3600, 2) AS sleep_h,
    round(100 * efficiency_mean_fraction, 1) AS efficiency_pct,
    round(sri_mean, 1) AS sri,
    round(score_mean, 1) AS score,
    -- Without the + 0, some are -0.0.
    round(score_mean - lag(score_mean) OVER (PARTITION BY org_id ORDER BY week), 1) + 0 AS score_change
FROM mart_org_week
WHERE week > (SELECT max(night_date) FROM fct_night) - 7 * 12
    AND ($organisation IS NULL OR org_id = $organisation)
ORDER BY org_id, week
