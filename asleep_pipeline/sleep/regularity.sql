-- How regular sleep is from day to day.

-- Sleep Regularity Index (Phillips et al. 2017, doi:10.1038/s41598-017-03171-4): of all pairs of
-- moments 24 h apart the share in the same state, asleep or awake, from -100 to 100.
CREATE OR REPLACE MACRO sleep_regularity_index(same_state_s, valid_pair_s) AS
    CASE WHEN valid_pair_s > 0 THEN 200.0 * same_state_s / valid_pair_s - 100 END;

-- Social jetlag (Wittmann et al. 2006, doi:10.1080/07420520500545979): the distance of the midpoints
-- of sleep on free days and on work days, in minutes.
CREATE OR REPLACE MACRO social_jetlag(free_midpoint_min, work_midpoint_min) AS
    abs(clock_difference(free_midpoint_min, work_midpoint_min));

-- Chronotype as MSFsc (Roenneberg et al. 2004, doi:10.1016/j.cub.2004.11.039): the midpoint on free
-- days, earlier by half of what is slept there beyond the mean of the week, in minutes.
CREATE OR REPLACE MACRO chronotype_msfsc(free_midpoint_min, free_sleep_s, work_sleep_s, free_days_a_week) AS
    CASE
        WHEN free_sleep_s > work_sleep_s
        THEN free_midpoint_min - (
            free_sleep_s
            - (free_sleep_s * free_days_a_week + work_sleep_s * (7 - free_days_a_week)) / 7.0
        ) / 60 / 2
        WHEN free_sleep_s <= work_sleep_s
        THEN free_midpoint_min
    END;
