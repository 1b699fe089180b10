-- Figures as people read them.

-- Seconds as hours and minutes: 7 h 05 min.
CREATE OR REPLACE MACRO duration_text(seconds) AS
    printf('%d h %02d min', round(seconds / 60)::INTEGER // 60, round(seconds / 60)::INTEGER % 60);

-- Minutes from midnight as a clock: 23:05.
CREATE OR REPLACE MACRO clock_text(minutes) AS
    printf(
        '%02d:%02d',
        ((round(minutes)::INTEGER % 1440 + 1440) % 1440) // 60,
        ((round(minutes)::INTEGER % 1440 + 1440) % 1440) % 60
    );
