-- How many nights in a row did everybody sleep 7 hours or more?
-- Rests on fct_night, with all sleep of a date. A date without a night ends a streak. The current
-- streak ends with the user's newest night, on the newest date of the file or the one before.

SELECT
    user_id,
    org_id,
    coalesce(max(nights) FILTER (WHERE is_enough), 0) AS longest_streak,
    arg_max(until, (nights, until)) FILTER (WHERE is_enough) AS longest_until,
    arg_max(if(is_enough AND until >= newest - 1, nights, 0), until) AS current_streak
FROM (
    SELECT
        user_id,
        org_id,
        is_enough,
        count(*) AS nights,
        max(night_date) AS until
    FROM (
        SELECT
            user_id,
            org_id,
            night_date,
            sleep_24h_s >= 7 * 3600 AS is_enough,
            -- Dates in a row share it.
            night_date - row_number() OVER (PARTITION BY user_id, is_enough ORDER BY night_date)::INTEGER AS row_of
        FROM fct_night
        WHERE is_night
            AND ($user IS NULL OR user_id = $user)
            AND ($organisation IS NULL OR org_id = $organisation)
    )
    GROUP BY user_id, org_id, is_enough, row_of
)
CROSS JOIN (SELECT max(night_date) AS newest FROM fct_night)
GROUP BY user_id, org_id
ORDER BY current_streak DESC, longest_streak DESC, user_id
