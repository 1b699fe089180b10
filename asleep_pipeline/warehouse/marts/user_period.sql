-- Weeks or months of users, from `span`.

SELECT
    * EXCLUDE (until, days, score_version),
    until - (days - 1)::INTEGER AS period,
    CASE WHEN score IS NOT NULL THEN score_version END AS score_version
FROM span
