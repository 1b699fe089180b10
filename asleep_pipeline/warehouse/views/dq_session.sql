WITH compared AS (
    SELECT
        f.user_id,
        f.session_id,
        f.org_id,
        f.night_date,
        f.start_date_local,
        f.state,
        f.started_at,
        f.quality,
        f.unknown_fraction,
        f.missing_data_fraction,
        s.last_received_seq_num + 1 AS chunks_received,
        f.tib_s // 30 AS chunks_expected,
        f.tib_s - f.recorded_s AS stage_length_mismatch_s,
        s.is_quarantined,
        f.state <> 'COMPLETE'
            AND epoch(f.started_at) < (SELECT max(epoch(listed_at)) FROM sessions) - 86400 AS is_stuck,
        s.pushed_at IS NOT NULL AS is_pushed,
        -- Its user's app had named a callback before; a day later no webhook is under way any more.
        coalesce(
            f.state = 'COMPLETE' AND s.pushed_at IS NULL AND f.ended_at > p.first_pushed_at
            AND epoch(f.ended_at) < (SELECT max(epoch(listed_at)) FROM sessions) - 86400,
            false
        ) AS is_missed,
        (epoch(s.fetched_at) - epoch(f.ended_at))::BIGINT AS lateness_s,
        s.has_stat AND f.unknown_s = 0 AS is_comparable,
        -- The API has a figure where its own stages have nothing to make it of.
        list_filter(
            [
                if(f.api_wakeup_latency_s <> 0 AND f.terminal_wake_s IS NULL, 'wakeup_latency', NULL),
                if(f.api_light_latency_s <> 0 AND f.light_latency_s IS NULL, 'light_latency', NULL),
                if(f.api_deep_latency_s <> 0 AND f.deep_latency_s IS NULL, 'deep_latency', NULL),
                if(f.api_rem_latency_s <> 0 AND f.rem_latency_s IS NULL, 'rem_latency', NULL),
                if(f.api_time_in_wake_s <> 0 AND f.waso_s IS NULL, 'time_in_wake', NULL),
                if(f.api_waso_count <> 0 AND f.awakenings IS NULL, 'waso_count', NULL),
                if(f.api_longest_waso_s <> 0 AND f.longest_wake_s IS NULL, 'longest_waso', NULL),
                if(f.api_sleep_cycle_s <> 0 AND f.mean_cycle_s IS NULL, 'sleep_cycle', NULL),
                if(f.api_sleep_ratio_fraction <> 0 AND f.tst_s = 0, 'sleep_ratio', NULL),
                if(f.api_wake_ratio_fraction <> 0 AND f.tst_s = 0, 'wake_ratio', NULL),
                if(
                    len(f.api_sleep_cycle_time_at) > 0 AND f.stage_levels = 4 AND (
                        coalesce(f.cycles, 0) = 0
                        OR len(f.api_sleep_cycle_time_at) <> f.cycles + 1
                        OR epoch(f.api_sleep_cycle_time_at[1]) <> epoch(f.onset_at)
                        OR epoch(f.api_sleep_cycle_time_at[-1])
                            <> epoch(f.onset_at) + round(f.mean_cycle_s * f.cycles)
                    ),
                    'sleep_cycle_time',
                    NULL
                )
            ],
            lambda statistic: statistic IS NOT NULL
        ) AS unfounded,
        epoch(f.api_sleep_time_at) - epoch(f.onset_at) AS diff_sleep_time_s,
        epoch(f.api_wake_time_at) - epoch(f.final_wake_at) AS diff_wake_time_s,
        f.api_sleep_latency_s - f.sol_s AS diff_sleep_latency_s,
        f.api_wakeup_latency_s - f.terminal_wake_s AS diff_wakeup_latency_s,
        f.api_light_latency_s - f.light_latency_s AS diff_light_latency_s,
        f.api_deep_latency_s - f.deep_latency_s AS diff_deep_latency_s,
        f.api_rem_latency_s - f.rem_latency_s AS diff_rem_latency_s,
        f.api_time_in_bed_s - f.tib_s AS diff_time_in_bed_s,
        f.api_time_in_sleep_period_s - f.spt_s AS diff_time_in_sleep_period_s,
        f.api_time_in_sleep_s - f.tst_s AS diff_time_in_sleep_s,
        f.api_time_in_wake_s - f.waso_s AS diff_time_in_wake_s,
        f.api_time_in_light_s - f.light_s AS diff_time_in_light_s,
        f.api_time_in_deep_s - f.deep_s AS diff_time_in_deep_s,
        f.api_time_in_rem_s - f.rem_s AS diff_time_in_rem_s,
        f.api_time_in_stable_breath_s - (f.spt_s - f.unstable_breath_s) AS diff_time_in_stable_breath_s,
        f.api_time_in_unstable_breath_s - f.unstable_breath_s AS diff_time_in_unstable_breath_s,
        f.api_time_in_snoring_s - f.snoring_s AS diff_time_in_snoring_s,
        f.api_time_in_no_snoring_s - (f.spt_s - f.snoring_s) AS diff_time_in_no_snoring_s,
        f.api_longest_waso_s - f.longest_wake_s AS diff_longest_waso_s,
        f.api_sleep_cycle_s - f.mean_cycle_s AS diff_sleep_cycle_s,
        f.api_waso_count - f.awakenings AS diff_waso_count,
        f.api_unstable_breath_count - f.unstable_breath_episodes AS diff_unstable_breath_count,
        f.api_sleep_cycle_count - f.cycles AS diff_sleep_cycle_count,
        f.api_snoring_count - f.snoring_episodes AS diff_snoring_count,
        f.api_breathing_index_per_h - f.breathing_index_per_h AS diff_breathing_index_per_h,
        f.api_sleep_efficiency_fraction - f.efficiency_fraction AS diff_sleep_efficiency_fraction,
        f.api_sleep_ratio_fraction - f.maintenance_efficiency_fraction AS diff_sleep_ratio_fraction,
        f.api_wake_ratio_fraction - f.wake_of_spt_fraction AS diff_wake_ratio_fraction,
        f.api_light_ratio_fraction - f.light_of_spt_fraction AS diff_light_ratio_fraction,
        f.api_deep_ratio_fraction - f.deep_of_spt_fraction AS diff_deep_ratio_fraction,
        f.api_rem_ratio_fraction - f.rem_of_spt_fraction AS diff_rem_ratio_fraction,
        f.api_stable_breath_ratio_fraction - (1 - f.unstable_breath_of_spt_fraction) AS diff_stable_breath_ratio_fraction,
        f.api_unstable_breath_ratio_fraction - f.unstable_breath_of_spt_fraction AS diff_unstable_breath_ratio_fraction,
        f.api_snoring_ratio_fraction - f.snoring_of_spt_fraction AS diff_snoring_ratio_fraction,
        f.api_no_snoring_ratio_fraction - (1 - f.snoring_of_spt_fraction) AS diff_no_snoring_ratio_fraction
    FROM fct_session AS f
    JOIN sessions AS s
        ON s.user_id = f.user_id AND s.session_id = f.session_id
    LEFT JOIN (
        SELECT user_id, min(pushed_at) AS first_pushed_at
        FROM sessions WHERE pushed_at IS NOT NULL GROUP BY user_id
    ) AS p ON p.user_id = f.user_id
)

SELECT
    * EXCLUDE (is_comparable, outside, unfounded),
    if(chunks_received > chunks_expected, 1, chunks_received / nullif(chunks_expected, 0))
        AS upload_integrity_fraction,
    -- The analysis covers whole blocks of 5 minutes and drops what is left of the last one.
    stage_length_mismatch_s NOT BETWEEN 0 AND 299 AS is_stage_length_wrong,
    CASE WHEN is_comparable THEN list_concat(outside, unfounded) END AS out_of_tolerance,
    CASE WHEN is_comparable THEN len(outside) + len(unfounded) = 0 END AS is_consistent
FROM (
    SELECT
        *,
        list_transform(
            list_filter([
                {'statistic': 'sleep_time', 'is_outside': abs(diff_sleep_time_s) > 0 + 1e-9},
                {'statistic': 'wake_time', 'is_outside': diff_wake_time_s NOT BETWEEN 0 AND greatest(stage_length_mismatch_s, 0)},
                {'statistic': 'sleep_latency', 'is_outside': abs(diff_sleep_latency_s) > 0 + 1e-9},
                {'statistic': 'wakeup_latency', 'is_outside': abs(diff_wakeup_latency_s) > 0 + 1e-9},
                {'statistic': 'light_latency', 'is_outside': abs(diff_light_latency_s) > 0 + 1e-9},
                {'statistic': 'deep_latency', 'is_outside': abs(diff_deep_latency_s) > 0 + 1e-9},
                {'statistic': 'rem_latency', 'is_outside': abs(diff_rem_latency_s) > 0 + 1e-9},
                {'statistic': 'time_in_bed', 'is_outside': abs(diff_time_in_bed_s) > 0 + 1e-9},
                {'statistic': 'time_in_sleep_period', 'is_outside': abs(diff_time_in_sleep_period_s) > 0 + 1e-9},
                {'statistic': 'time_in_sleep', 'is_outside': abs(diff_time_in_sleep_s) > 0 + 1e-9},
                {'statistic': 'time_in_wake', 'is_outside': abs(diff_time_in_wake_s) > 0 + 1e-9},
                {'statistic': 'time_in_light', 'is_outside': abs(diff_time_in_light_s) > 0 + 1e-9},
                {'statistic': 'time_in_deep', 'is_outside': abs(diff_time_in_deep_s) > 0 + 1e-9},
                {'statistic': 'time_in_rem', 'is_outside': abs(diff_time_in_rem_s) > 0 + 1e-9},
                {'statistic': 'time_in_stable_breath', 'is_outside': abs(diff_time_in_stable_breath_s) > 0 + 1e-9},
                {'statistic': 'time_in_unstable_breath', 'is_outside': abs(diff_time_in_unstable_breath_s) > 0 + 1e-9},
                {'statistic': 'time_in_snoring', 'is_outside': abs(diff_time_in_snoring_s) > 0 + 1e-9},
                {'statistic': 'time_in_no_snoring', 'is_outside': abs(diff_time_in_no_snoring_s) > 0 + 1e-9},
                {'statistic': 'longest_waso', 'is_outside': abs(diff_longest_waso_s) > 0 + 1e-9},
                {'statistic': 'sleep_cycle', 'is_outside': abs(diff_sleep_cycle_s) > 0.5 + 1e-9},
                {'statistic': 'waso_count', 'is_outside': abs(diff_waso_count) > 0 + 1e-9},
                {'statistic': 'unstable_breath_count', 'is_outside': abs(diff_unstable_breath_count) > 0 + 1e-9},
                {'statistic': 'sleep_cycle_count', 'is_outside': abs(diff_sleep_cycle_count) > 0 + 1e-9},
                {'statistic': 'snoring_count', 'is_outside': abs(diff_snoring_count) > 0 + 1e-9},
                {'statistic': 'breathing_index', 'is_outside': abs(diff_breathing_index_per_h) > 0.05 + 1e-9},
                {'statistic': 'sleep_efficiency', 'is_outside': abs(diff_sleep_efficiency_fraction) > 0.005 + 1e-9},
                {'statistic': 'sleep_ratio', 'is_outside': abs(diff_sleep_ratio_fraction) > 0.015 + 1e-9},
                {'statistic': 'wake_ratio', 'is_outside': abs(diff_wake_ratio_fraction) > 0.015 + 1e-9},
                {'statistic': 'light_ratio', 'is_outside': abs(diff_light_ratio_fraction) > 0.015 + 1e-9},
                {'statistic': 'deep_ratio', 'is_outside': abs(diff_deep_ratio_fraction) > 0.015 + 1e-9},
                {'statistic': 'rem_ratio', 'is_outside': abs(diff_rem_ratio_fraction) > 0.015 + 1e-9},
                {'statistic': 'stable_breath_ratio', 'is_outside': abs(diff_stable_breath_ratio_fraction) > 0.015 + 1e-9},
                {'statistic': 'unstable_breath_ratio', 'is_outside': abs(diff_unstable_breath_ratio_fraction) > 0.015 + 1e-9},
                {'statistic': 'snoring_ratio', 'is_outside': abs(diff_snoring_ratio_fraction) > 0.015 + 1e-9},
                {'statistic': 'no_snoring_ratio', 'is_outside': abs(diff_no_snoring_ratio_fraction) > 0.015 + 1e-9}
            ], lambda judged: judged.is_outside),
            lambda judged: judged.statistic
        ) AS outside
    FROM compared
)
