-- What a series of stages says. A hypnogram is text, one letter for each epoch of 30 s:
-- W wake, L light (or just asleep, with 2 stage levels), D deep, R REM, U unknown.

CREATE OR REPLACE MACRO hypnogram(stages) AS
    translate(replace(list_aggregate(stages, 'string_agg', ''), '-1', 'U'), '0123', 'WLDR');

-- How often a piece of text occurs in another: epochs of a stage, or transitions between two.
CREATE OR REPLACE MACRO occurrences(series, piece) AS
    (length(series) - length(replace(series, piece, ''))) // length(piece);

-- From the first epoch asleep to the last one; empty where nobody slept.
CREATE OR REPLACE MACRO sleep_period(series) AS
    trim(series, 'WU');

-- Epochs from the start to the first one asleep; NULL where nobody slept.
CREATE OR REPLACE MACRO epochs_to_sleep(series) AS
    CASE WHEN regexp_matches(series, '[LDR]') THEN length(regexp_extract(series, '^[WU]*')) END;

-- Epochs to the first 10 minutes of sleep without a break (persistent sleep); NULL without.
CREATE OR REPLACE MACRO epochs_to_persistent_sleep(series) AS
    CASE
        WHEN regexp_matches(series, '[LDR]{20}')
        THEN length(regexp_extract(series, '^(.*?)[LDR]{20}', 1))
    END;

-- Length of the longest run that matches a pattern, such as 'W+', in epochs; 0 without any.
CREATE OR REPLACE MACRO longest_run(series, pattern) AS
    CASE
        WHEN series IS NOT NULL
        THEN coalesce(
            list_max(list_transform(regexp_extract_all(series, pattern), lambda run: length(run))), 0
        )
    END;

-- Sleep cycles as the vendor's package `pysleep` counts them: REM epochs with at most 20 others
-- between them are one cluster, and a cluster with at least 20 REM epochs (10 min) ends a cycle.
-- The sleep period in pieces that end with a cluster each.
CREATE OR REPLACE MACRO rem_clusters(period) AS
    regexp_extract_all(period, '[^R]*R(?:[^R]{0,20}R)*');

-- The last epoch of each cycle, counted from 0 at sleep onset.
CREATE OR REPLACE MACRO cycle_ends(clusters) AS
    list_filter(
        list_transform(
            clusters,
            lambda piece, place: CASE
                WHEN occurrences(piece, 'R') >= 20
                THEN length(array_to_string(clusters[1:place], '')) - 1
            END
        ),
        lambda epoch: epoch IS NOT NULL
    );
