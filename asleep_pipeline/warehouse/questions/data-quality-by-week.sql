-- How good are the data, week by week?
-- Rests on fct_session: the last 8 weeks of the file. Good, fair and poor are shares of the sessions
-- that have stages; unknown is the mean share of epochs without a known stage, lost that of the
-- recording. Differing are those whose time asleep is another by the API than by its stages. More is
-- in dq_day and dq_session.

SELECT
    org_id,
    date_trunc('week', coalesce(night_date, start_date_local))::DATE AS week,
    count(*) AS sessions,
    count(*) FILTER (WHERE state <> 'COMPLETE') AS incomplete,
    round(100 * avg((quality = 'good')::INTEGER), 1) AS good_pct,
    round(100 * avg((quality = 'fair')::INTEGER), 1) AS fair_pct,
    round(100 * avg((quality = 'poor')::INTEGER), 1) AS poor_pct,
    round(100 * avg(unknown_fraction), 2) AS unknown_pct,
    round(100 * avg(missing_data_fraction), 2) AS lost_pct,
    count(*) FILTER (WHERE tib_s - recorded_s NOT BETWEEN 0 AND 299) AS wrong_length,
    count(*) FILTER (WHERE unknown_s = 0 AND api_time_in_sleep_s <> tst_s) AS differing
FROM fct_session
WHERE coalesce(night_date, start_date_local) > (SELECT max(night_date) FROM fct_night) - 7 * 8
    AND ($organisation IS NULL OR org_id = $organisation)
GROUP BY org_id, week
ORDER BY org_id, week
