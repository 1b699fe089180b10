-- Which nights did the clocks change in?
-- Rests on fct_session: main sleeps, the newest first. Time in bed is what passed; the difference of
-- the two wall clocks is off by the step.

SELECT
    user_id,
    org_id,
    night_date,
    timezone,
    utc_offset_end_min - utc_offset_start_min AS clock_step_min,
    started_local,
    ended_local,
    round(tib_s / 60, 1) AS in_bed_min,
    round((epoch(ended_local) - epoch(started_local)) / 60, 1) AS by_wall_clock_min,
    round(tst_s / 3600, 2) AS sleep_h
FROM fct_session
WHERE is_main_sleep
    AND utc_offset_start_min <> utc_offset_end_min
    AND ($user IS NULL OR user_id = $user)
    AND ($organisation IS NULL OR org_id = $organisation)
ORDER BY night_date DESC, user_id
