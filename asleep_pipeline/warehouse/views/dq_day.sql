SELECT
    org_id,
    coalesce(night_date, start_date_local) AS night_date,
    count(*) AS sessions,
    count(*) FILTER (WHERE state = 'COMPLETE') AS complete_sessions,
    count(*) FILTER (WHERE is_stuck) AS stuck_sessions,
    count(*) FILTER (WHERE is_quarantined) AS quarantined_sessions,
    count(*) FILTER (WHERE is_pushed) AS pushed_sessions,
    count(*) FILTER (WHERE is_missed) AS missed_sessions,
    count(*) FILTER (WHERE quality = 'good') AS good_sessions,
    count(*) FILTER (WHERE quality = 'fair') AS fair_sessions,
    count(*) FILTER (WHERE quality = 'poor') AS poor_sessions,
    avg(unknown_fraction) AS unknown_mean_fraction,
    avg(missing_data_fraction) AS missing_data_mean_fraction,
    avg(upload_integrity_fraction) AS upload_integrity_mean_fraction,
    count(*) FILTER (WHERE is_stage_length_wrong) AS stage_length_wrong_sessions,
    count(is_consistent) AS compared_sessions,
    count(*) FILTER (WHERE NOT is_consistent) AS inconsistent_sessions,
    median(lateness_s) AS lateness_median_s,
    max(lateness_s) AS lateness_max_s
FROM dq_session
GROUP BY org_id, coalesce(night_date, start_date_local)
