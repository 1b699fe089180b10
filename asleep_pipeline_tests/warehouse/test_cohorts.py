"""Cohorts: conditions are checked before they are kept, and comparisons are right."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from random import Random
from statistics import fmean

import duckdb
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from asleep_pipeline.errors import UsageError
from asleep_pipeline.lake.cohorts import Cohort, put_cohort
from asleep_pipeline.warehouse.cohorts import METRICS, Comparison, compare_cohorts, count_users
from asleep_pipeline.warehouse.effects import effects
from asleep_pipeline_tests.hand_made import LONG_AGO, HandMade, Row, hand_made, session

MONDAY = date(2026, 3, 2)
SAMPLES = st.lists(st.integers(-50, 50).map(float), min_size=2, max_size=20)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandMade]:
    """Two weeks and a day of nine early and seven late sleepers; only to be read."""
    with hand_made(tmp_path_factory.mktemp("cohorts")) as filled:
        users = [*(f"early-{n}" for n in range(9)), *(f"late-{n}" for n in range(7)), "seldom"]
        filled.put_users(*({"user_id": user, "org_id": "default"} for user in users))
        filled.put(*nights(users))
        for name, condition in CONDITIONS.items():
            put_cohort(filled.lake, Cohort(name, condition), now=LONG_AGO)
        listed = ("early-0", "late-0", "late-1", "late-2", "late-3")
        put_cohort(filled.lake, Cohort("mixed", user_ids=listed), now=LONG_AGO)
        filled.publish()
        yield filled


CONDITIONS = {
    "early": "user_id LIKE 'early%' OR user_id = 'seldom'",
    "late": "user_id LIKE 'late%'",
    "few": "user_id IN ('late-0', 'late-1', 'late-2', 'late-3')",
    "nobody": "false",
}


def nights(users: list[str]) -> list[Row]:
    """Nights of random length from Monday on; somebody has too few of them."""
    dice = Random(7)
    found = []
    for user in users:
        hours = 7.5 if user.startswith("early") else 6.5
        for day in range(3 if user == "seldom" else 15):
            start = f"{MONDAY + timedelta(days=day - 1)}T{'22' if hours > 7 else '23'}:30"
            asleep = round(dice.gauss(hours, 0.7) * 120)
            found.append(session(user, start, f"{dice.randrange(60)}W {asleep}L 20W 30D 30R"))
    return found


def compare(made: HandMade, first: str, second: str, **how: object) -> Comparison:
    """A comparison in the file."""
    with duckdb.connect(str(made.path), read_only=True) as con:
        return compare_cohorts(con, first, second, **how)  # type: ignore[arg-type]


def means(made: HandMade, users: str, figure: str = "avg(tst_s) / 60") -> list[float]:
    """Users' figures over the two whole weeks."""
    rows = made.rows(
        f"SELECT {figure} AS value FROM fct_night WHERE is_night AND user_id LIKE '{users}%' "
        "AND night_date BETWEEN '2026-03-02' AND '2026-03-15' GROUP BY user_id ORDER BY user_id"
    )
    return [row["value"] for row in rows]


def test_comparison_is_of_the_users_means(made: HandMade) -> None:
    """Of the newest whole weeks; who has too few nights does not count."""
    found = compare(made, "early", "late", weeks=2)
    assert (found.first_date, found.last_date) == (MONDAY, date(2026, 3, 15))
    assert (found.unit, found.is_suppressed, found.users_in_both) == ("min", False, 0)
    for sample, name in zip(found.samples, ("early", "late"), strict=True):
        values = means(made, name)
        assert (sample.cohort, sample.users) == (name, len(values))
        assert sample.mean == pytest.approx(fmean(values))
        assert sample.sd == pytest.approx(np.std(values, ddof=1))
        wanted = np.quantile(values, [0.1, 0.5, 0.9])
        assert [sample.p10, sample.median, sample.p90] == pytest.approx(list(wanted))
        assert list(sample.histogram) == list(np.histogram(values, found.bin_edges)[0])
        assert sum(sample.histogram) == sample.users


def test_bins_are_common_and_round(made: HandMade) -> None:
    """The same half hours for both cohorts, and none outside of all values."""
    found = compare(made, "early", "late", weeks=2)
    assert {edge % 30 for edge in found.bin_edges} == {0}
    first, second = (sample.histogram for sample in found.samples)
    assert first[0] + second[0] > 0
    assert first[-1] + second[-1] > 0


def test_effects_are_those_of_the_users_means(made: HandMade) -> None:
    """A minus B, so that the other way round has the other sign."""
    found, reverse = (
        compare(made, *names, weeks=2) for names in (("early", "late"), ("late", "early"))
    )
    assert found.effects == effects(means(made, "early"), means(made, "late"))
    assert found.effects is not None
    assert reverse.effects is not None
    assert found.effects.mean_difference > 30
    assert reverse.effects.mean_difference == -found.effects.mean_difference
    assert reverse.effects.cliffs_delta == -found.effects.cliffs_delta


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_is_compared(made: HandMade, metric: str) -> None:
    """Whatever was measured; nothing of the snoring, which was not."""
    found = compare(made, "early", "late", metric=metric, weeks=2)
    assert found.is_suppressed == (metric == "snoring")
    assert found.unit == METRICS[metric].unit


def test_week_metrics_agree_with_the_marts(made: HandMade) -> None:
    """Score and regularity over one week are those of mart_user_week."""
    for metric, column in {
        "score": "score",
        "sri": "sri",
        "midpoint-sd": "midpoint_sd_min",
    }.items():
        found = compare(made, "early", "late", metric=metric, from_week=MONDAY, weeks=1)
        rows = made.rows(
            f"SELECT avg({column}) AS mean, count({column}) AS users FROM mart_user_week "
            f"WHERE week = '{MONDAY}' AND user_id LIKE 'late%'"
        )
        assert found.samples[1].users == rows[0]["users"]
        assert found.samples[1].mean == pytest.approx(rows[0]["mean"])


def test_week_is_that_of_the_date(made: HandMade) -> None:
    """Any date of a week names it."""
    found = compare(made, "early", "late", from_week=date(2026, 3, 8), weeks=1)
    assert (found.first_date, found.last_date) == (MONDAY, date(2026, 3, 8))


def test_members_of_both_are_told(made: HandMade) -> None:
    """They count in both of them."""
    found = compare(made, "mixed", "late", weeks=2)
    assert found.users_in_both == 4
    assert [sample.users for sample in found.samples] == [5, 7]


def test_small_cohort_shows_nothing(made: HandMade) -> None:
    """No figure of either of them."""
    for names in (("early", "few"), ("few", "early")):
        found = compare(made, *names, weeks=2)
        assert found.is_suppressed
        assert (found.samples, found.bin_edges) == ((), ())
        assert (found.effects, found.users_in_both) == (None, None)


def test_weeks_without_nights_show_nothing(made: HandMade) -> None:
    """Nobody has enough nights then."""
    assert compare(made, "early", "late", from_week=date(2020, 1, 1)).is_suppressed


@pytest.mark.parametrize(
    ("names", "metric", "named"),
    [
        (("early", "lat"), "tst", "'late'"),
        (("nobody", "late"), "tst", "'nobody'"),
        (("late", "late"), "tst", "itself"),
        (("early", "late"), "efficency", "'efficiency'"),
    ],
)
def test_comparison_that_cannot_be_made(
    made: HandMade, names: tuple[str, str], metric: str, named: str
) -> None:
    """What is wrong is named, with the nearest of what there is."""
    with pytest.raises(UsageError, match=named):
        compare(made, *names, metric=metric)


def test_file_without_nights_is_told(tmp_path: Path) -> None:
    """There is nothing to compare yet."""
    with hand_made(tmp_path) as empty:
        empty.put_users(*({"user_id": user, "org_id": "default"} for user in "ab"))
        put_cohort(empty.lake, Cohort("one", "user_id = 'a'"), now=LONG_AGO)
        put_cohort(empty.lake, Cohort("two", "user_id = 'b'"), now=LONG_AGO)
        empty.publish()
        with pytest.raises(UsageError, match="no night"):
            compare(empty, "one", "two")


# Of samples without a spread of its own, which scipy doubts.
@pytest.mark.filterwarnings("ignore:Precision loss:RuntimeWarning")
@given(SAMPLES, SAMPLES)
def test_interval_and_g_are_those_of_scipy(first: list[float], second: list[float]) -> None:
    """Welch's interval, and Hedges' g by its textbook formula."""
    squares = sum((len(x) - 1) * float(np.var(x, ddof=1)) for x in (first, second))
    assume(squares > 0)
    found = effects(first, second)
    assert found.mean_difference == pytest.approx(fmean(first) - fmean(second))
    interval = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(
        (interval.low, interval.high), rel=1e-6, abs=1e-9
    )
    freedom = len(first) + len(second) - 2
    d = (fmean(first) - fmean(second)) / math.sqrt(squares / freedom)
    correction = math.gamma(freedom / 2) / (math.sqrt(freedom / 2) * math.gamma((freedom - 1) / 2))
    assert found.hedges_g == pytest.approx(d * correction)


@given(SAMPLES, SAMPLES)
def test_cliffs_delta_is_that_of_all_pairs(first: list[float], second: list[float]) -> None:
    """Counted pair by pair, and by the U statistic of Mann and Whitney."""
    found = effects(first, second).cliffs_delta
    pairs = [(a > b) - (a < b) for a in first for b in second]
    assert found == pytest.approx(fmean(pairs))
    u = stats.mannwhitneyu(first, second).statistic
    assert found == pytest.approx(2 * u / (len(first) * len(second)) - 1)


@pytest.mark.parametrize("first", [[3.0], [3.0, 3.0]])
def test_values_without_a_spread(first: list[float]) -> None:
    """One value, or the same value several times, gives a difference and neither interval nor g."""
    found = effects(first, [2.0, 2.0])
    assert (found.mean_difference, found.cliffs_delta) == (1, 1)
    assert (found.low, found.high, found.hedges_g) == (None, None, None)


@pytest.mark.parametrize(
    ("condition", "users"),
    [
        ("true", 17),
        ("user_id LIKE 'late%'", 7),
        ("gender = 'female'", 0),
        ("sleep_need_s > 7 * 3600\n  AND NOT is_gone", 17),
        ("user_id = (SELECT min(user_id) FROM dim_user)", 1),
    ],
)
def test_condition_tells_its_users(made: HandMade, condition: str, users: int) -> None:
    """How many users it holds today."""
    assert count_users(made.path, condition) == users


@pytest.mark.parametrize(
    "condition",
    [
        "true) LIMIT (1",
        "true) UNION SELECT user_id FROM users WHERE (true",
        "true) AND (false",
        "true; DROP TABLE users",
        "true FROM dim_user",
        "true -- all of them",
        "true, false",
        "count(*) > 1",
        "birthyear > 1990",
        "user_id = $cohort",
        "user_id IN (SELECT user_id FROM fct_night)",
        "user_id IN (FROM read_csv('/etc/hostname'))",
        "",
    ],
)
def test_condition_is_one_expression_on_dim_user(made: HandMade, condition: str) -> None:
    """What is more or less than that is refused, before it is kept."""
    with pytest.raises(UsageError) as caught:
        count_users(made.path, condition)
    assert caught.value.fix
