-- Rolling windows of `span`: nothing but the counts below half of the nights.

SELECT
    user_id,
    org_id,
    until AS night_date,
    days AS window_days,
    nights AS nights_observed,
    nights_free,
    nights_work,
    CASE WHEN is_enough THEN COLUMNS('^(?:.*_mean_.*|.*_mean|short_nights|tst_sd_s|sleep_need_s|sleep_debt_s)$') END AS '\0',
    bed_sd_min,
    wake_sd_min,
    midpoint_sd_min,
    sri,
    sri_valid_fraction,
    free_midpoint_min,
    work_midpoint_min,
    social_jetlag_min,
    chronotype_msfsc_min,
    score,
    score_efficiency,
    score_consistency,
    score_duration,
    CASE WHEN score IS NOT NULL THEN score_version END AS score_version
FROM span
