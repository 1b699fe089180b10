-- Who leads by sleep score?
-- Rests on fct_user_day, window of 30 dates: each user's newest, if it ends in the last 7 dates of
-- the file. It may be shown to an organisation: no user is named, only the upper half is shown, at
-- most ten places, and nothing of an organisation with fewer scores than the setting
-- min_group_size. The place of the user that is asked for is always in it.

SELECT
    org_id,
    rank() OVER (PARTITION BY org_id ORDER BY score DESC) AS place,
    count(*) OVER (PARTITION BY org_id) AS users,
    round(score)::INTEGER AS score,
    nights_observed AS nights,
    user_id IS NOT DISTINCT FROM $user AS is_user
FROM (
    SELECT *
    FROM fct_user_day
    JOIN dim_organisation USING (org_id)
    WHERE window_days = 30
        AND score IS NOT NULL
        AND night_date > (SELECT max(night_date) FROM fct_night) - 7
        AND ($organisation IS NULL OR org_id = $organisation)
    QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY night_date DESC) = 1
)
QUALIFY users >= min_group_size
    -- Not the place: many may share one.
    AND (row_number() OVER (PARTITION BY org_id ORDER BY score DESC, user_id) <= least(10, users // 2) OR is_user)
ORDER BY org_id, place, is_user DESC, user_id
