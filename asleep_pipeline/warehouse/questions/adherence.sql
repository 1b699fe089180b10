-- How many of the nights that were possible did everybody record?
-- Rests on fct_night and dim_user: possible are all dates from a user's first night to the newest
-- night of the file. Who is gone is left out; who has no night yet has no possible one either.

SELECT
    u.user_id,
    u.org_id,
    min(n.night_date) AS first_night,
    max(n.night_date) AS last_night,
    count(n.night_date) AS nights,
    newest - first_night + 1 AS nights_possible,
    round(100 * nights / nights_possible, 1) AS adherence_pct
FROM dim_user AS u
LEFT JOIN fct_night AS n ON n.user_id = u.user_id AND n.is_night
CROSS JOIN (SELECT max(night_date) AS newest FROM fct_night)
WHERE NOT u.is_gone
    AND ($user IS NULL OR u.user_id = $user)
    AND ($organisation IS NULL OR u.org_id = $organisation)
GROUP BY u.user_id, u.org_id, newest
ORDER BY adherence_pct NULLS FIRST, u.user_id
