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

COMMENT ON COLUMN epochs.user_id IS 'Asleep''s user id';
COMMENT ON COLUMN epochs.session_id IS 'Asleep''s session id';
COMMENT ON COLUMN epochs.night_date IS 'Date of waking up; NULL while OPEN [local]';
COMMENT ON COLUMN epochs.epoch IS 'Number of the epoch, counted from 0 [one a 30 s]';
COMMENT ON COLUMN epochs.epoch_at IS 'Start of the epoch [UTC instant]';
COMMENT ON COLUMN epochs.sleep_stage IS '-1 unknown, 0 wake, 1 light (asleep on a 2-stage plan), 2 deep, 3 REM';
COMMENT ON COLUMN epochs.breath_stage IS '0 stable, 1 (or 2) unstable breathing';
COMMENT ON COLUMN epochs.snoring_stage IS '0 no snoring, 1 snoring';
