-- The sleep score and its parts, each from 0 to 100, weighed as in Asleep's backend guide.

-- Points of one night by its sleep: those of the first band that holds it, both ends inclusive.
CREATE OR REPLACE MACRO duration_points(sleep_s, bands, otherwise) AS
    CASE
        WHEN sleep_s IS NOT NULL
        THEN coalesce(
            list_filter(bands, lambda band: sleep_s BETWEEN band.from_h * 3600 AND band.to_h * 3600)[1].points,
            otherwise
        )
    END;

-- 100 without any spread, 0 from the limit on, on a line between: the mean of the circular standard
-- deviations of bedtime and of midpoint is the spread. NULL where one is NULL.
CREATE OR REPLACE MACRO consistency_points(bed_sd_min, midpoint_sd_min, limit_min) AS
    CASE
        WHEN bed_sd_min IS NOT NULL AND midpoint_sd_min IS NOT NULL
        THEN 100 * greatest(0.0, 1 - (bed_sd_min + midpoint_sd_min) / 2 / limit_min)
    END;
