-- All organisations that have users, nights, or settings of their own (`own`).

SELECT
    org_id,
    coalesce(own.free_days, p.free_days) AS free_days,
    coalesce(own.min_group_size, p.min_group_size) AS min_group_size
FROM (
    SELECT org_id FROM users
    UNION
    SELECT org_id FROM sessions
    UNION
    SELECT org_id FROM own
)
LEFT JOIN own USING (org_id)
CROSS JOIN mart_parameters AS p
