-- Weeks or months of groups, of `scope` (group_key, period), from `grouped`: user periods with
-- the group_key of each group that the user is in.

WITH members AS (
    SELECT
        u.*,
        -- Of a cohort, nobody is told more closely than their own organisation lets them be.
        max(o.min_group_size) OVER (PARTITION BY group_key, period) AS min_group_size,
        p.short_sleep_s
    FROM grouped AS u
    SEMI JOIN scope USING (group_key, period)
    JOIN dim_organisation AS o USING (org_id)
    CROSS JOIN mart_parameters AS p
    -- Others may have recorded one odd night only.
    WHERE u.is_enough
),

-- Not everybody has every figure: each needs as many users as the group itself.
told AS (
    SELECT
        group_key,
        period,
        nights,
        min_group_size,
        short_sleep_s,
        CASE
            WHEN count(COLUMNS('_mean_|_sd_|social_jetlag|^sri$|^score$')) OVER (PARTITION BY group_key, period)
                >= min_group_size
            THEN COLUMNS('_mean_|_sd_|social_jetlag|^sri$|^score$')
        END AS '\0'
    FROM members
),

figures AS (
    SELECT
        u.group_key,
        u.period,
        any_value(u.min_group_size) AS min_group_size,
        count(*) AS users,
        sum(u.nights) AS nights,
        avg(u.tst_mean_s) AS tst_mean_s,
        median(u.tst_mean_s) AS tst_median_s,
        quantile_cont(u.tst_mean_s, 0.1) AS tst_p10_s,
        quantile_cont(u.tst_mean_s, 0.9) AS tst_p90_s,
        avg(u.sol_mean_s) AS sol_mean_s,
        median(u.sol_mean_s) AS sol_median_s,
        quantile_cont(u.sol_mean_s, 0.9) AS sol_p90_s,
        avg(u.waso_mean_s) AS waso_mean_s,
        median(u.waso_mean_s) AS waso_median_s,
        quantile_cont(u.waso_mean_s, 0.9) AS waso_p90_s,
        avg(u.efficiency_mean_fraction) AS efficiency_mean_fraction,
        median(u.efficiency_mean_fraction) AS efficiency_median_fraction,
        avg(u.deep_of_tst_mean_fraction) AS deep_of_tst_mean_fraction,
        avg(u.rem_of_tst_mean_fraction) AS rem_of_tst_mean_fraction,
        avg((u.sleep_24h_mean_s < u.short_sleep_s)::INTEGER) AS short_sleeper_fraction,
        clock_mean(avg(clock_sin(u.midpoint_mean_min)), avg(clock_cos(u.midpoint_mean_min)))
            AS midpoint_mean_min,
        median(u.bed_sd_min) AS bed_sd_median_min,
        median(u.midpoint_sd_min) AS midpoint_sd_median_min,
        median(u.social_jetlag_min) AS social_jetlag_median_min,
        avg(u.sri) AS sri_mean,
        median(u.sri) AS sri_median,
        avg(u.score) AS score_mean,
        median(u.score) AS score_median,
        quantile_cont(u.score, 0.1) AS score_p10,
        quantile_cont(u.score, 0.9) AS score_p90
    FROM told AS u
    GROUP BY u.group_key, u.period
)

-- A group of which nobody has enough nights is too small as well.
SELECT
    present.group_key,
    present.period,
    coalesce(users < min_group_size, true) AS is_suppressed,
    CASE
        WHEN users >= min_group_size
        THEN COLUMNS(figures.* EXCLUDE (group_key, period, min_group_size))
    END AS '\0'
FROM (SELECT DISTINCT group_key, period FROM grouped SEMI JOIN scope USING (group_key, period)) AS present
LEFT JOIN figures USING (group_key, period)
