-- Nights of `scope` (user_id, night_date).

-- Regularity compares a night with the one before, so that one is looked at as well.
WITH asked AS (
    SELECT user_id, night_date FROM scope
    UNION
    SELECT user_id, night_date - 1 FROM scope
),

slept AS (
    SELECT *
    FROM fct_session
    SEMI JOIN asked USING (user_id, night_date)
    WHERE tst_s > 0
),

sums AS (
    SELECT
        user_id,
        night_date,
        count(*) AS sessions,
        count(*) FILTER (WHERE is_split_sleep) AS split_sessions,
        count(*) FILTER (WHERE is_nap) AS naps,
        -- Without what overlaps the main sleep.
        sum(tst_s) FILTER (WHERE is_main_sleep OR is_split_sleep OR is_nap) AS sleep_24h_s,
        coalesce(sum(tst_s) FILTER (WHERE is_split_sleep), 0) AS split_s,
        coalesce(sum(tst_s) FILTER (WHERE is_nap), 0) AS nap_s
    FROM slept
    GROUP BY user_id, night_date
),

night AS (
    SELECT
        main.*,
        sums.* EXCLUDE (user_id, night_date),
        coalesce(u.free_days, p.free_days) AS free_days,
        coalesce(u.sleep_need_s, p.sleep_need_s) AS sleep_need_s,
        main.quality <> 'poor' AND (
            main.tst_s >= 3 * 3600
            OR minutes_from_midnight(main.onset_local, main.night_date) < 360
            AND minutes_from_midnight(main.final_wake_local, main.night_date) > 0
        ) AS is_night
    FROM slept AS main
    JOIN sums USING (user_id, night_date)
    LEFT JOIN dim_user AS u USING (user_id)
    CROSS JOIN mart_parameters AS p
    WHERE main.is_main_sleep
),

-- From here on: who was asleep when. Days run from noon to noon, and carry the date of the night.
-- A session touches the day of its night date and its neighbours.
near AS (
    SELECT s.user_id, s.session_id, hypnogram(s.sleep_stages) AS series
    FROM sessions AS s
    SEMI JOIN (
        SELECT user_id, night_date + step::INTEGER AS night_date
        FROM asked CROSS JOIN (SELECT unnest([-1, 0, 1]) AS step)
    ) USING (user_id, night_date)
    -- Cheaper than the same of `series`, which would be made of every session to be looked at.
    WHERE len(s.sleep_stages) > 0
),

timed AS (
    SELECT
        s.user_id,
        s.started_local,
        s.utc_offset_end_min - s.utc_offset_start_min AS clock_step_min,
        near.series,
        -- Epochs that begin before the clocks change.
        coalesce(
            ceil((epoch(s.utc_offset_changes_at) - epoch(s.started_at)) / 30)::BIGINT, length(near.series)
        ) AS unchanged
    FROM near
    JOIN fct_session AS s USING (user_id, session_id)
),

-- Stretches of one session on the wall clock; where the clock jumps ahead, it shows times that never were.
stretch AS (
    SELECT user_id, started_local, substring(series, 1, unchanged) AS series FROM timed
    UNION ALL
    SELECT
        user_id,
        started_local + to_seconds(30 * unchanged + 60 * clock_step_min),
        substring(series, unchanged + 1)
    FROM timed
    WHERE unchanged < length(series)
    UNION ALL
    SELECT user_id, started_local + to_seconds(30 * unchanged), repeat('U', 2 * clock_step_min)
    FROM timed
    WHERE unchanged < length(series) AND clock_step_min > 0
),

-- A day has 2880 epochs; a stretch ends at noon at the latest, and goes on the next day.
placed AS (
    SELECT
        user_id,
        (started_local + INTERVAL 12 HOUR)::DATE AS day,
        (floor(epoch(started_local + INTERVAL 12 HOUR))::BIGINT % 86400) // 30 AS place,
        series
    FROM stretch
    WHERE length(series) > 0
),

within_day AS (
    SELECT user_id, day, place, substring(series, 1, 2880 - place) AS series
    FROM placed
    UNION ALL
    SELECT user_id, day + 1, 0, substring(series, 2880 - place + 1, 2880)
    FROM placed
    WHERE place + length(series) > 2880
),

-- A bit for each epoch of the day.
bits AS (
    SELECT
        user_id,
        day AS night_date,
        bit_or((before || translate(series, 'WLDRU', '01110') || behind)::BIT) AS asleep,
        bit_or((before || translate(series, 'WLDRU', '00001') || behind)::BIT) AS unknown
    FROM (
        SELECT *, repeat('0', place) AS before, repeat('0', 2880 - place - length(series)) AS behind
        FROM within_day
    )
    GROUP BY user_id, day
),

observed AS (
    SELECT n.user_id, n.night_date, bits.asleep, bits.unknown
    FROM night AS n
    JOIN bits USING (user_id, night_date)
    WHERE n.is_night
),

pair AS (
    SELECT
        d.user_id,
        d.night_date,
        30 * (2880 - bit_count(d.unknown | before.unknown)) AS valid_pair_s,
        30 * (2880 - bit_count(d.unknown | before.unknown | xor(d.asleep, before.asleep))) AS same_state_s
    FROM observed AS d
    JOIN observed AS before ON before.user_id = d.user_id AND before.night_date = d.night_date - 1
)

SELECT
    n.user_id,
    n.org_id,
    n.night_date,
    n.session_id AS main_session_id,
    n.timezone,
    list_contains(n.free_days, isodow(n.night_date)) AS is_free_day,
    n.is_night,
    n.quality,
    n.utc_offset_start_min <> n.utc_offset_end_min AS is_clock_change,
    n.sessions,
    n.split_sessions,
    n.naps,
    n.sleep_24h_s,
    n.split_s,
    n.nap_s,
    n.tib_s,
    n.spt_s,
    n.tst_s,
    n.sol_s,
    n.waso_s,
    n.efficiency_fraction,
    n.light_s,
    n.deep_s,
    n.rem_s,
    n.awakenings,
    n.cycles,
    n.snoring_of_spt_fraction,
    n.breathing_index_per_h,
    n.api_sleep_index,
    n.started_at,
    n.ended_at,
    minutes_from_midnight(n.started_local, n.night_date) AS bed_min,
    minutes_from_midnight(n.onset_local, n.night_date) AS onset_min,
    minutes_from_midnight(n.midpoint_local, n.night_date) AS midpoint_min,
    minutes_from_midnight(n.final_wake_local, n.night_date) AS wake_min,
    minutes_from_midnight(n.ended_local, n.night_date) AS rise_min,
    n.sleep_need_s,
    pair.same_state_s,
    pair.valid_pair_s
FROM night AS n
SEMI JOIN scope USING (user_id, night_date)
LEFT JOIN pair USING (user_id, night_date)
