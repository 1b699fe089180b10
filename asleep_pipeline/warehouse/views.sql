-- What is one query away from the tables. Executed as it stands; the comments are part of the file.

CREATE OR REPLACE VIEW epochs AS
SELECT
    user_id,
    session_id,
    night_date,
    epoch,
    started_at + to_seconds(30 * epoch) AS epoch_at,
    sleep_stages[epoch + 1] AS sleep_stage,
    breath_stages[epoch + 1] AS breath_stage,
    snoring_stages[epoch + 1] AS snoring_stage
FROM (
    SELECT *, unnest(range(len(sleep_stages))) AS epoch
    FROM sessions
);

COMMENT ON VIEW epochs IS
    'One row for every 30 s of a session that has stages. Filter by session_id, user_id or night_date.';
