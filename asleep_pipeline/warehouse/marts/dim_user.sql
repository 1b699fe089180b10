-- All users.

SELECT
    u.user_id,
    u.org_id,
    u.timezone,
    coalesce(u.free_days, o.free_days) AS free_days,
    coalesce(u.sleep_need_s, p.sleep_need_s) AS sleep_need_s,
    u.birth_year,
    u.gender,
    u.height_cm,
    u.weight_kg,
    u.weight_kg / nullif((u.height_cm / 100) ** 2, 0) AS bmi_kg_m2,
    u.deleted_at IS NOT NULL AS is_gone
FROM users AS u
JOIN dim_organisation AS o USING (org_id)
CROSS JOIN mart_parameters AS p
