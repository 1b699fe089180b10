-- What some nights say together, for the spans of `scope` (user_id, until, days): the nights of so
-- many dates up to and including `until`. One home for rolling windows, weeks and months.

WITH night AS (
    SELECT s.until, s.days, s.until - n.night_date AS age_days, n.*
    FROM (SELECT user_id, until, days, until - unnest(range(days))::INTEGER AS night_date FROM scope) AS s
    JOIN fct_night AS n USING (user_id, night_date)
    WHERE n.is_night
),

figures AS (
    SELECT
        user_id,
        until,
        days,
        arg_max(org_id, night_date) AS org_id,
        count(*) AS nights,
        count(*) FILTER (WHERE is_free_day) AS nights_free,
        count(*) FILTER (WHERE NOT is_free_day) AS nights_work,
        sum(naps) AS naps,
        avg(tst_s) AS tst_mean_s,
        avg(sleep_24h_s) AS sleep_24h_mean_s,
        avg(tib_s) AS tib_mean_s,
        avg(sol_s) AS sol_mean_s,
        avg(waso_s) AS waso_mean_s,
        avg(efficiency_fraction) AS efficiency_mean_fraction,
        avg(light_s / tst_s) AS light_of_tst_mean_fraction,
        avg(deep_s / tst_s) AS deep_of_tst_mean_fraction,
        avg(rem_s / tst_s) AS rem_of_tst_mean_fraction,
        avg(awakenings) AS awakenings_mean,
        avg(snoring_of_spt_fraction) AS snoring_of_spt_mean_fraction,
        avg(breathing_index_per_h) AS breathing_index_mean_per_h,
        count(*) FILTER (WHERE sleep_24h_s < p.short_sleep_s) AS short_nights,
        stddev_samp(tst_s) AS tst_sd_s,
        arg_max(sleep_need_s, night_date) AS sleep_need_s,
        greatest(sum(sleep_need_s - sleep_24h_s), 0) AS sleep_debt_s,
        median(tst_s) AS tst_median_s,
        quantile_cont(tst_s, 0.1) AS tst_p10_s,
        quantile_cont(tst_s, 0.9) AS tst_p90_s,
        median(sol_s) AS sol_median_s,
        quantile_cont(sol_s, 0.9) AS sol_p90_s,
        median(waso_s) AS waso_median_s,
        median(efficiency_fraction) AS efficiency_median_fraction,
        avg(clock_sin(bed_min)) AS bed_sin,
        avg(clock_cos(bed_min)) AS bed_cos,
        avg(clock_sin(wake_min)) AS wake_sin,
        avg(clock_cos(wake_min)) AS wake_cos,
        avg(clock_sin(midpoint_min)) AS midpoint_sin,
        avg(clock_cos(midpoint_min)) AS midpoint_cos,
        avg(clock_sin(midpoint_min)) FILTER (WHERE is_free_day) AS free_sin,
        avg(clock_cos(midpoint_min)) FILTER (WHERE is_free_day) AS free_cos,
        avg(clock_sin(midpoint_min)) FILTER (WHERE NOT is_free_day) AS work_sin,
        avg(clock_cos(midpoint_min)) FILTER (WHERE NOT is_free_day) AS work_cos,
        avg(sleep_24h_s) FILTER (WHERE is_free_day) AS free_sleep_s,
        avg(sleep_24h_s) FILTER (WHERE NOT is_free_day) AS work_sleep_s,
        -- The first date of the span has its pair before the span.
        sum(same_state_s) FILTER (WHERE age_days < days - 1) AS same_state_s,
        coalesce(sum(valid_pair_s) FILTER (WHERE age_days < days - 1), 0) AS valid_pair_s,
        avg(duration_points(sleep_24h_s, p.duration_bands, p.duration_otherwise)) AS duration_points
    FROM night
    CROSS JOIN (SELECT short_sleep_s, duration_bands, duration_otherwise FROM mart_parameters) AS p
    GROUP BY user_id, until, days
),

-- Regularity and score need half of the nights, regularity of free and work days some of each.
regular AS (
    SELECT
        f.*,
        nights * 2 >= days AS is_enough,
        nights * 2 >= days AND nights_free >= 2 AND nights_work >= 3 AS has_both,
        clock_mean(free_sin, free_cos) AS free_midpoint,
        clock_mean(work_sin, work_cos) AS work_midpoint,
        clock_sd(bed_sin, bed_cos) AS bed_sd,
        clock_sd(midpoint_sin, midpoint_cos) AS midpoint_sd,
        valid_pair_s / (86400 * (days - 1)) AS valid_fraction,
        len(u.free_days) AS free_days_a_week
    FROM figures AS f
    LEFT JOIN dim_user AS u USING (user_id)
),

scored AS (
    SELECT
        *,
        CASE WHEN is_enough THEN 100 * efficiency_mean_fraction END AS score_efficiency,
        CASE
            WHEN is_enough THEN consistency_points(bed_sd, midpoint_sd, p.consistency_limit_min)
        END AS score_consistency,
        CASE WHEN is_enough THEN duration_points END AS score_duration
    FROM regular
    CROSS JOIN (SELECT COLUMNS('weight|consistency|version') FROM mart_parameters) AS p
)

SELECT
    *,
    short_nights / nights AS short_night_fraction,
    CASE WHEN is_enough THEN clock_mean(bed_sin, bed_cos) END AS bed_mean_min,
    CASE WHEN is_enough THEN bed_sd END AS bed_sd_min,
    CASE WHEN is_enough THEN clock_mean(wake_sin, wake_cos) END AS wake_mean_min,
    CASE WHEN is_enough THEN clock_sd(wake_sin, wake_cos) END AS wake_sd_min,
    CASE WHEN is_enough THEN clock_mean(midpoint_sin, midpoint_cos) END AS midpoint_mean_min,
    CASE WHEN is_enough THEN midpoint_sd END AS midpoint_sd_min,
    CASE WHEN valid_fraction >= 0.5 THEN sleep_regularity_index(same_state_s, valid_pair_s) END AS sri,
    CASE WHEN is_enough THEN valid_fraction END AS sri_valid_fraction,
    CASE WHEN has_both THEN free_midpoint END AS free_midpoint_min,
    CASE WHEN has_both THEN work_midpoint END AS work_midpoint_min,
    CASE WHEN has_both THEN social_jetlag(free_midpoint, work_midpoint) END AS social_jetlag_min,
    CASE
        WHEN has_both THEN chronotype_msfsc(free_midpoint, free_sleep_s, work_sleep_s, free_days_a_week)
    END AS chronotype_msfsc_min,
    efficiency_weight * score_efficiency
        + consistency_weight * score_consistency
        + duration_weight * score_duration AS score
FROM scored
