-- Sessions of `scope` (user_id, session_id), which holds whole nights: siblings decide together
-- which of them is the main sleep.

-- Without the stages: it is read several times.
WITH told AS (
    SELECT s.* EXCLUDE (sleep_stages, breath_stages, snoring_stages)
    FROM sessions AS s
    SEMI JOIN scope USING (user_id, session_id)
),

written AS (
    SELECT
        user_id,
        session_id,
        has_stat,
        time_in_light,
        breath_stages,
        snoring_stages,
        hypnogram(sleep_stages) AS series
    FROM sessions
    SEMI JOIN scope USING (user_id, session_id)
),

-- Few nights have one: the clocks change twice a year.
clock_change AS (
    SELECT s.user_id, s.session_id, to_timestamp(epoch(min(r.utc_from))) AS changes_at
    FROM told AS s
    JOIN tz_rules AS r ON r.tz = s.timezone
    WHERE s.utc_offset_start_min <> s.utc_offset_end_min
        AND epoch_us(r.utc_from) > epoch_us(s.started_at)
        AND epoch_us(r.utc_from) <= epoch_us(s.ended_at)
    GROUP BY s.user_id, s.session_id
),

in_epochs AS (
    SELECT
        user_id,
        session_id,
        series,
        breath_stages,
        snoring_stages,
        sleep_period(series) AS period,
        length(series) AS epochs,
        epochs_to_sleep(series) AS before_sleep,
        epochs_to_persistent_sleep(series) AS before_persistent_sleep,
        occurrences(series, 'W') AS wake,
        occurrences(series, 'L') AS light,
        occurrences(series, 'D') AS deep,
        occurrences(series, 'R') AS rem,
        occurrences(series, 'U') AS unknown,
        occurrences(series, 'WL') AS wake_to_light,
        occurrences(series, 'WD') AS wake_to_deep,
        occurrences(series, 'WR') AS wake_to_rem,
        occurrences(series, 'LW') AS light_to_wake,
        occurrences(series, 'LD') AS light_to_deep,
        occurrences(series, 'LR') AS light_to_rem,
        occurrences(series, 'DW') AS deep_to_wake,
        occurrences(series, 'DL') AS deep_to_light,
        occurrences(series, 'DR') AS deep_to_rem,
        occurrences(series, 'RW') AS rem_to_wake,
        occurrences(series, 'RL') AS rem_to_light,
        occurrences(series, 'RD') AS rem_to_deep,
        CASE
            WHEN contains(series, 'D') OR contains(series, 'R') THEN 4
            WHEN has_stat AND time_in_light IS NOT NULL THEN 4
            WHEN has_stat AND contains(series, 'L') THEN 2
        END AS stage_levels
    FROM written
),

of_period AS (
    SELECT
        *,
        light + deep + rem AS asleep,
        length(period) AS period_epochs,
        occurrences(period, 'W') AS wake_inside,
        rem_clusters(period) AS clusters,
        hypnogram(snoring_stages[before_sleep + 1:before_sleep + length(period)]) AS snoring,
        hypnogram(breath_stages[before_sleep + 1:before_sleep + length(period)]) AS breath
    FROM in_epochs
),

-- By itself: a macro writes what it is given wherever it speaks of it.
in_cycles AS (
    SELECT * EXCLUDE (clusters), cycle_ends(clusters) AS ends FROM of_period
),

-- Without the long texts. Where nobody slept, what needs sleep is NULL.
measured AS (
    SELECT
        user_id,
        session_id,
        epochs,
        stage_levels,
        CASE WHEN epochs > unknown THEN asleep = 0 END AS never_slept,
        30 * epochs AS recorded_s,
        30 * length(period) AS spt_s,
        30 * asleep AS tst_s,
        CASE WHEN asleep > 0 THEN 30 * wake_inside END AS waso_s,
        30 * before_sleep AS sol_s,
        30 * before_persistent_sleep AS lps_s,
        30 * (epochs - before_sleep - period_epochs) AS terminal_wake_s,
        30 * (nullif(strpos(period, 'L'), 0) - 1) AS light_latency_s,
        30 * (nullif(strpos(period, 'D'), 0) - 1) AS deep_latency_s,
        30 * (nullif(strpos(period, 'R'), 0) - 1) AS rem_latency_s,
        30 * wake AS wake_s,
        30 * light AS light_s,
        30 * deep AS deep_s,
        30 * rem AS rem_s,
        30 * unknown AS unknown_s,
        asleep / epochs AS efficiency_fraction,
        CASE WHEN asleep > 0 THEN asleep / period_epochs END AS maintenance_efficiency_fraction,
        CASE WHEN asleep > 0 THEN len(regexp_extract_all(period, 'W+')) END AS awakenings,
        CASE WHEN asleep > 0 THEN 30 * longest_run(period, 'W+') END AS longest_wake_s,
        CASE WHEN asleep > 0 THEN 30 * longest_run(period, '[LDR]+') END AS longest_sleep_s,
        CASE
            WHEN asleep > 0
            THEN wake_to_light + wake_to_deep + wake_to_rem
                + light_to_wake + light_to_deep + light_to_rem
                + deep_to_wake + deep_to_light + deep_to_rem
                + rem_to_wake + rem_to_light + rem_to_deep
                - (series[before_sleep] = 'W')::INTEGER
                - (series[before_sleep + period_epochs + 1] = 'W')::INTEGER
        END AS transitions,
        (light_to_wake + deep_to_wake + rem_to_wake) / (asleep / 120) AS fragmentation_index_per_h,
        CASE WHEN asleep > 0 AND stage_levels = 4 THEN len(ends) END AS cycles,
        CASE WHEN stage_levels = 4 THEN 30 * ends[-1] / nullif(len(ends), 0) END AS mean_cycle_s,
        wake_to_light,
        wake_to_deep,
        wake_to_rem,
        light_to_wake,
        light_to_deep,
        light_to_rem,
        deep_to_wake,
        deep_to_light,
        deep_to_rem,
        rem_to_wake,
        rem_to_light,
        rem_to_deep,
        CASE WHEN asleep > 0 THEN 30 * occurrences(snoring, 'L') END AS snoring_s,
        CASE WHEN asleep > 0 THEN len(regexp_extract_all(snoring, 'L+')) END AS snoring_episodes,
        -- Older answers tell two degrees of unstable breathing apart.
        CASE
            WHEN asleep > 0 THEN 30 * (occurrences(breath, 'L') + occurrences(breath, 'D'))
        END AS unstable_breath_s,
        CASE WHEN asleep > 0 THEN len(regexp_extract_all(breath, '[LD]+')) END AS unstable_breath_episodes
    FROM in_cycles
),

placed AS (
    SELECT
        m.*,
        s.night_date,
        s.started_at,
        c.changes_at AS utc_offset_changes_at,
        s.started_at + to_seconds(m.sol_s) AS onset_at,
        s.started_at + to_seconds(m.sol_s + m.spt_s) AS final_wake_at,
        s.started_at + to_milliseconds(1000 * m.sol_s + 500 * m.spt_s) AS midpoint_at,
        CASE
            WHEN m.epochs IS NULL THEN NULL
            WHEN m.unknown_s / m.recorded_s > 0.3
                OR coalesce(s.missing_data_ratio, 0) > 0.3
                OR list_has_any(
                    coalesce(s.peculiarities, []),
                    ['TOO_MANY_DEFECTS_IN_SLEEP_STAGES', 'TOO_LONG_FOR_ANALYSIS']
                ) THEN 'poor'
            WHEN m.unknown_s / m.recorded_s > 0.05 OR coalesce(s.missing_data_ratio, 0) > 0.05
                THEN 'fair'
            ELSE 'good'
        END AS quality
    FROM measured AS m
    JOIN told AS s USING (user_id, session_id)
    LEFT JOIN clock_change AS c USING (user_id, session_id)
),

ranked AS (
    SELECT
        *,
        tst_s > 0 AND night_date IS NOT NULL AND row_number() OVER (
            PARTITION BY user_id, night_date
            -- A recording that nobody can trust must not hide a sound one.
            ORDER BY coalesce(quality = 'poor', false), tst_s DESC NULLS LAST, started_at, session_id
        ) = 1 AS is_main_sleep
    FROM placed
),

beside_main AS (
    SELECT
        *,
        max(onset_at) FILTER (WHERE is_main_sleep) OVER same_night AS main_onset_at,
        max(final_wake_at) FILTER (WHERE is_main_sleep) OVER same_night AS main_final_wake_at
    FROM ranked
    WINDOW same_night AS (PARTITION BY user_id, night_date)
),

-- Negative where it overlaps the main sleep: then it is the same sleep once more, recorded twice.
distant AS (
    SELECT
        *,
        greatest(
            epoch(onset_at) - epoch(main_final_wake_at), epoch(main_onset_at) - epoch(final_wake_at)
        ) AS apart_s
    FROM beside_main
),

-- A part of the night ends or begins at most 2 h from the main sleep.
related AS (
    SELECT
        *,
        tst_s > 0 AND NOT is_main_sleep AND apart_s BETWEEN 0 AND 7200 AS is_split_sleep,
        tst_s > 0 AND NOT is_main_sleep AND apart_s > 7200 AS is_nap
    FROM distant
)

SELECT
    s.session_id,
    s.user_id,
    s.org_id,
    s.state,
    s.night_date,
    s.start_date_local,
    s.timezone,
    s.timezone_source,
    s.utc_offset_start_min,
    s.utc_offset_end_min,
    m.utc_offset_changes_at,
    s.started_at,
    s.ended_at,
    m.onset_at,
    m.final_wake_at,
    m.midpoint_at,
    s.started_at_local AS started_local,
    s.ended_at_local AS ended_local,
    local_time(m.onset_at, m.utc_offset_changes_at, s.utc_offset_start_min, s.utc_offset_end_min)
        AS onset_local,
    local_time(m.final_wake_at, m.utc_offset_changes_at, s.utc_offset_start_min, s.utc_offset_end_min)
        AS final_wake_local,
    local_time(m.midpoint_at, m.utc_offset_changes_at, s.utc_offset_start_min, s.utc_offset_end_min)
        AS midpoint_local,
    m.epochs,
    m.stage_levels,
    coalesce(m.is_main_sleep, false) AS is_main_sleep,
    coalesce(m.is_split_sleep, false) AS is_split_sleep,
    coalesce(m.is_nap, false) AS is_nap,
    m.never_slept,
    (epoch(s.ended_at) - epoch(s.started_at))::INTEGER AS tib_s,
    m.recorded_s,
    m.spt_s,
    m.tst_s,
    m.waso_s,
    m.sol_s,
    m.lps_s,
    m.terminal_wake_s,
    if(m.stage_levels = 4, m.light_latency_s, NULL) AS light_latency_s,
    if(m.stage_levels = 4, m.deep_latency_s, NULL) AS deep_latency_s,
    if(m.stage_levels = 4, m.rem_latency_s, NULL) AS rem_latency_s,
    m.wake_s,
    if(m.stage_levels = 4, m.light_s, NULL) AS light_s,
    if(m.stage_levels = 4, m.deep_s, NULL) AS deep_s,
    if(m.stage_levels = 4, m.rem_s, NULL) AS rem_s,
    m.unknown_s,
    if(m.stage_levels = 4, m.light_s / nullif(m.tst_s, 0), NULL) AS light_of_tst_fraction,
    if(m.stage_levels = 4, m.deep_s / nullif(m.tst_s, 0), NULL) AS deep_of_tst_fraction,
    if(m.stage_levels = 4, m.rem_s / nullif(m.tst_s, 0), NULL) AS rem_of_tst_fraction,
    m.waso_s / nullif(m.spt_s, 0) AS wake_of_spt_fraction,
    if(m.stage_levels = 4, m.light_s / nullif(m.spt_s, 0), NULL) AS light_of_spt_fraction,
    if(m.stage_levels = 4, m.deep_s / nullif(m.spt_s, 0), NULL) AS deep_of_spt_fraction,
    if(m.stage_levels = 4, m.rem_s / nullif(m.spt_s, 0), NULL) AS rem_of_spt_fraction,
    m.efficiency_fraction,
    m.maintenance_efficiency_fraction,
    m.awakenings,
    m.longest_wake_s,
    m.longest_sleep_s,
    m.transitions,
    if(m.tst_s > 0, m.fragmentation_index_per_h, NULL) AS fragmentation_index_per_h,
    m.cycles,
    m.mean_cycle_s,
    m.wake_to_light,
    m.wake_to_deep,
    m.wake_to_rem,
    m.light_to_wake,
    m.light_to_deep,
    m.light_to_rem,
    m.deep_to_wake,
    m.deep_to_light,
    m.deep_to_rem,
    m.rem_to_wake,
    m.rem_to_light,
    m.rem_to_deep,
    m.snoring_s,
    m.snoring_s / nullif(m.spt_s, 0) AS snoring_of_spt_fraction,
    m.snoring_episodes,
    m.snoring_episodes * 3600 / nullif(m.tst_s, 0) AS snoring_index_per_h,
    m.unstable_breath_s,
    m.unstable_breath_s / nullif(m.spt_s, 0) AS unstable_breath_of_spt_fraction,
    m.unstable_breath_episodes,
    m.unstable_breath_episodes * 3600 / nullif(m.tst_s, 0) AS breathing_index_per_h,
    s.peculiarities,
    s.missing_data_ratio AS missing_data_fraction,
    m.unknown_s / m.recorded_s AS unknown_fraction,
    m.quality,
    s.sleep_time AS api_sleep_time_at,
    s.wake_time AS api_wake_time_at,
    s.sleep_index AS api_sleep_index,
    s.sleep_latency AS api_sleep_latency_s,
    s.wakeup_latency AS api_wakeup_latency_s,
    s.light_latency AS api_light_latency_s,
    s.deep_latency AS api_deep_latency_s,
    s.rem_latency AS api_rem_latency_s,
    s.time_in_bed AS api_time_in_bed_s,
    s.time_in_sleep_period AS api_time_in_sleep_period_s,
    s.time_in_sleep AS api_time_in_sleep_s,
    s.time_in_wake AS api_time_in_wake_s,
    s.time_in_light AS api_time_in_light_s,
    s.time_in_deep AS api_time_in_deep_s,
    s.time_in_rem AS api_time_in_rem_s,
    s.time_in_stable_breath AS api_time_in_stable_breath_s,
    s.time_in_unstable_breath AS api_time_in_unstable_breath_s,
    s.time_in_snoring AS api_time_in_snoring_s,
    s.time_in_no_snoring AS api_time_in_no_snoring_s,
    s.sleep_efficiency AS api_sleep_efficiency_fraction,
    s.sleep_ratio AS api_sleep_ratio_fraction,
    s.wake_ratio AS api_wake_ratio_fraction,
    s.light_ratio AS api_light_ratio_fraction,
    s.deep_ratio AS api_deep_ratio_fraction,
    s.rem_ratio AS api_rem_ratio_fraction,
    s.stable_breath_ratio AS api_stable_breath_ratio_fraction,
    s.unstable_breath_ratio AS api_unstable_breath_ratio_fraction,
    s.snoring_ratio AS api_snoring_ratio_fraction,
    s.no_snoring_ratio AS api_no_snoring_ratio_fraction,
    s.breathing_index AS api_breathing_index_per_h,
    s.unstable_breath_count AS api_unstable_breath_count,
    s.breathing_pattern AS api_breathing_pattern,
    s.waso_count AS api_waso_count,
    s.longest_waso AS api_longest_waso_s,
    s.sleep_cycle AS api_sleep_cycle_s,
    s.sleep_cycle_count AS api_sleep_cycle_count,
    s.sleep_cycle_time AS api_sleep_cycle_time_at,
    s.snoring_count AS api_snoring_count
FROM told AS s
JOIN related AS m USING (user_id, session_id)
