-- Who naps, how often and for how long?
-- Rests on fct_session: naps of the last 30 dates of the file. The only sleep of a date is its main
-- sleep, not a nap. Clock times are local.

SELECT
    user_id,
    org_id,
    count(DISTINCT night_date) AS days_with_nap,
    count(*) AS naps,
    round(avg(tst_s) / 60, 1) AS nap_mean_min,
    round(max(tst_s) / 60, 1) AS nap_longest_min,
    clock_text(
        clock_mean(
            avg(clock_sin(minutes_from_midnight(onset_local, night_date))),
            avg(clock_cos(minutes_from_midnight(onset_local, night_date)))
        )
    ) AS usual_start
FROM fct_session
WHERE is_nap
    AND night_date > (SELECT max(night_date) FROM fct_night) - 30
    AND ($user IS NULL OR user_id = $user)
    AND ($organisation IS NULL OR org_id = $organisation)
GROUP BY user_id, org_id
ORDER BY naps DESC, user_id
