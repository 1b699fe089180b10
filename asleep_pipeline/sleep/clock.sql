-- Clocks: wall times of instants, and means of clock times, which go round in a circle.

-- Wall time of an instant of a session, whose offset may change once on its way.
CREATE OR REPLACE MACRO local_time(instant, changes_at, offset_start_min, offset_end_min) AS
    make_timestamp(
        epoch_us(instant)
        + 60000000 * CASE WHEN instant >= changes_at THEN offset_end_min ELSE offset_start_min END::BIGINT
    );

-- Minutes from the midnight with which a date begins; negative on the evening before.
CREATE OR REPLACE MACRO minutes_from_midnight(wall_time, of_date) AS
    (epoch_us(wall_time) - epoch_us(of_date::TIMESTAMP)) / 60e6;

CREATE OR REPLACE MACRO clock_sin(minutes) AS sin(radians(minutes / 4));
CREATE OR REPLACE MACRO clock_cos(minutes) AS cos(radians(minutes / 4));

-- How much clock times agree: 1 when all are the same, 0 when they cancel each other out.
CREATE OR REPLACE MACRO clock_resultant(mean_sin, mean_cos) AS
    sqrt(mean_sin * mean_sin + mean_cos * mean_cos);

-- Circular mean in minutes from midnight, over -720 to 720, of the mean sine and cosine; NULL where
-- the times cancel each other out.
CREATE OR REPLACE MACRO clock_mean(mean_sin, mean_cos) AS
    CASE
        WHEN clock_resultant(mean_sin, mean_cos) > 1e-9
        THEN degrees(atan2(mean_sin, mean_cos)) * 4
    END;

-- Circular standard deviation in minutes, sqrt(-2 ln R) on a circle of 24 h (Mardia and Jupp 2000);
-- NULL where the times cancel each other out.
CREATE OR REPLACE MACRO clock_sd(mean_sin, mean_cos) AS
    CASE
        -- The same time several times over does not spread; only the rounding of its sums does.
        WHEN clock_resultant(mean_sin, mean_cos) > 1 - 1e-12 THEN 0.0
        WHEN clock_resultant(mean_sin, mean_cos) > 1e-9
        THEN degrees(sqrt(-2 * ln(clock_resultant(mean_sin, mean_cos)))) * 4
    END;

-- From one clock time to another the short way round: over -720 to 720 minutes.
CREATE OR REPLACE MACRO clock_difference(minutes, from_minutes) AS
    ((minutes - from_minutes + 720) % 1440 + 1440) % 1440 - 720;
