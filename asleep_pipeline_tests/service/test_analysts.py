"""Analysts get rows that tell of nobody, and SQL that reads nothing else."""

from __future__ import annotations

import re
import string
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as with_settings
from hypothesis import strategies as st

from asleep_pipeline.access.roles import Role
from asleep_pipeline.service.analysts import Desk, Occupied, Unanswerable
from asleep_pipeline.service.analysts_sql import FUNCTIONS, QueryRefused, check_sql
from asleep_pipeline.service.app import build_service
from asleep_pipeline.service.deidentified import TABLES
from asleep_pipeline.service.routes.analysts import DESK
from asleep_pipeline.service.tenants import Warehouse
from asleep_pipeline_tests.service.conftest import Client, as_role, serving
from asleep_pipeline_tests.service.crowd import MONDAY, SIZES, Crowd, crowd

MONTH = {"from": str(MONDAY), "to": "2026-03-31"}


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    """Organisations of 52, 6 and 4 people."""
    with crowd(tmp_path_factory.mktemp("crowd")) as made:
        yield made


@pytest.fixture(scope="module")
def api(many: Crowd) -> Iterator[Client]:
    """The API over them."""
    with serving(build_service(many.settings)) as made:
        yield made


@pytest.fixture(scope="module")
def analyst(many: Crowd) -> dict[str, str]:
    """The header of an analyst of the large organisation."""
    return as_role(many, "large", Role.ANALYST)


@pytest.fixture(scope="module")
def parser() -> Iterator[duckdb.DuckDBPyConnection]:
    """What reads statements, with the tables' names."""
    with duckdb.connect(":memory:") as con:
        for name in TABLES:
            con.execute(f"CREATE VIEW {name} AS SELECT 1 AS person")
        yield con


def ask(api: Client, header: dict[str, str], sql: str) -> Any:
    """What a query finds."""
    answer = api.post("/v1/query", json={"sql": sql}, headers=header)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_nights_tell_of_nobody(api: Client, many: Crowd, analyst: dict[str, str]) -> None:
    """No id, no date but Mondays, no instant, no exact value of a person."""
    text = api.get("/v1/deidentified/nights", params={"limit": "100"}, headers=analyst).text
    ids = {
        row[name] for row in many.made.rows("FROM sessions") for name in ("user_id", "session_id")
    }
    assert not [one for one in ids if one in text]
    assert set(re.findall(r"\d{4}-\d\d-\d\d", text)) <= {"2026-03-02", "2026-03-09", "2026-03-16"}
    assert "Europe/Berlin" not in text
    assert not re.search(r"\d\d:\d\d", text)


def test_every_night_comes_once(api: Client, many: Crowd, analyst: dict[str, str]) -> None:
    """Page by page, with what the mart says of it."""
    found: list[dict[str, Any]] = []
    asked = MONTH | {"limit": "100"}
    while True:
        page = api.get("/v1/deidentified/nights", params=asked, headers=analyst).json()
        found.extend(page["items"])
        if not page["next_cursor"]:
            break
        asked["cursor"] = page["next_cursor"]
    keys = [(night["week"], night["person"], night["number"]) for night in found]
    assert keys == sorted(set(keys))
    rows = many.made.rows("SELECT tst_s, waso_s FROM fct_night WHERE org_id = 'large'")
    assert sorted((night["tst_s"], night["waso_s"]) for night in found) == sorted(
        (row["tst_s"], row["waso_s"]) for row in rows
    )
    assert len({night["person"] for night in found}) == SIZES["large"]
    assert {night["bed_min"] % 5 for night in found} == {0}


def test_weeks_can_be_chosen(api: Client, analyst: dict[str, str]) -> None:
    """By their Mondays."""
    asked = {"from": "2026-03-09", "to": "2026-03-09", "limit": "100"}
    nights = api.get("/v1/deidentified/nights", params=asked, headers=analyst).json()["items"]
    assert {night["week"] for night in nights} == {"2026-03-09"}


def test_properties_that_few_share_are_left_out(
    api: Client, many: Crowd, analyst: dict[str, str]
) -> None:
    """A decade, a band or an offset is told of at least the minimum of people."""
    for name in ("born", "gender", "height_band_cm", "weight_band_kg", "utc_offset_min"):
        sql = f"SELECT {name}, count(DISTINCT person) FROM nights GROUP BY 1"
        known = {
            value: users for value, users in ask(api, analyst, sql)["rows"] if value is not None
        }
        assert known
        assert min(known.values()) >= 5
    small = as_role(many, "small", Role.ANALYST)
    sql = "SELECT DISTINCT gender, utc_offset_min FROM nights"
    assert ask(api, small, sql)["rows"] == [[None, None]]


def test_too_small_an_organisation_has_no_rows(api: Client, many: Crowd) -> None:
    """A pseudonym hides nobody among four."""
    tiny = as_role(many, "tiny", Role.ANALYST)
    for table in ("nights", "sessions"):
        assert ask(api, tiny, f"SELECT count(*) FROM {table}")["rows"] == [[0]]
    sql = "SELECT count(*) FROM organisation_weeks WHERE NOT is_suppressed"
    assert ask(api, tiny, sql)["rows"] == [[0]]


def test_pseudonyms_differ_between_organisations_and_stay(api: Client, many: Crowd) -> None:
    """Nobody can join what two organisations see, and everybody can join what one sees again."""
    people = {}
    for org_id in ("large", "small"):
        with Warehouse(many.settings.warehouse_path).of(org_id):
            header = as_role(many, org_id, Role.ANALYST)
            rows = ask(api, header, "SELECT DISTINCT person FROM nights")["rows"]
            again = ask(api, header, "SELECT DISTINCT person FROM sessions")["rows"]
        assert sorted(rows) == sorted(again)
        people[org_id] = {person for (person,) in rows}
    assert not people["large"] & people["small"]


def test_order_of_nights_is_not_that_of_dates(
    api: Client, many: Crowd, analyst: dict[str, str]
) -> None:
    """Numbers follow the values."""
    sql = "SELECT tst_s FROM nights ORDER BY week, person, number LIMIT 7"
    values = [row[0] for row in ask(api, analyst, sql)["rows"]]
    assert values == sorted(values)


@pytest.mark.parametrize(
    ("role", "status"),
    [(Role.OWNER, 200), (Role.ADMIN, 200), (Role.ANALYST, 200), (Role.MEMBER, 403)],
)
def test_members_get_no_figures(api: Client, many: Crowd, role: Role, status: int) -> None:
    """Rows of all are for those who may see figures."""
    user_id = "large-00" if role is Role.MEMBER else None
    header = as_role(many, "large", role, user_id)
    assert api.get("/v1/deidentified/nights", headers=header).status_code == status
    assert api.post("/v1/query", json={"sql": "SELECT 1"}, headers=header).status_code == status


ANSWERED = {
    "SELECT 1 AS one, 'a' AS text, NULL AS none, true AS yes": [[1, "a", None, True]],
    "SELECT 'nan'::DOUBLE, 'inf'::DOUBLE, '-inf'::DOUBLE, 1e308 * 10": [[None] * 4],
    "SELECT DATE '2026-03-02', 1.50::DECIMAL(9, 2), 2::HUGEINT": [["2026-03-02", 1.5, 2]],
    "WITH a AS (SELECT count(*) AS n FROM nights) SELECT n FROM a": [[52 * 17]],
    "SELECT count(*) FROM nights n JOIN sessions s USING (person, week) WHERE false": [[0]],
    "FROM (VALUES (1), (2)) AS v(x) SELECT sum(x)": [[3]],
    "SELECT i FROM range(3) AS r(i) ORDER BY ALL": [[0], [1], [2]],
    "SELECT max(users) FROM organisation_weeks": [[52]],
    "SELECT max(users) FROM cohort_weeks WHERE cohort = 'many'": [[40]],
    "SELECT count(*) OVER (), rank() OVER (ORDER BY week) FROM organisation_weeks LIMIT 1": [
        [3, 1]
    ],
    "SELECT clock_text(clock_mean(avg(clock_sin(x)), avg(clock_cos(x)))) FROM (VALUES (-60), (60)) v(x)": [
        ["00:00"]
    ],
    "SELECT median(x), quantile_cont(x, 0.5) FROM (VALUES (1), (3)) v(x)": [[2.0, 2.0]],
    "SELECT x FROM (SELECT 1 AS x UNION ALL SELECT 2) WHERE x IN (SELECT 2)": [[2]],
    "SELECT count(*) FILTER (quality = 'good') > 0 FROM nights WHERE born LIKE '19%' OR born IS NULL": [
        [True]
    ],
}


@pytest.mark.parametrize("sql", ANSWERED)
def test_questions_are_answered(api: Client, analyst: dict[str, str], sql: str) -> None:
    """What is no number is null."""
    assert ask(api, analyst, sql)["rows"] == ANSWERED[sql]


ATTACKS = (
    # Other statements.
    "INSERT INTO nights SELECT * FROM nights",
    "UPDATE nights SET tst_s = 0",
    "DELETE FROM nights",
    "CREATE TABLE mine AS SELECT 1",
    "CREATE VIEW nights AS SELECT 1",
    "CREATE MACRO sum(x) AS 1",
    "DROP VIEW nights",
    "ALTER TABLE nights RENAME TO mine",
    "COPY nights TO '{file}'",
    "COPY (SELECT 1) TO '{file}' (FORMAT parquet)",
    "COPY nights FROM '{secret}'",
    "EXPORT DATABASE '{file}'",
    "IMPORT DATABASE '{file}'",
    "ATTACH '{published}' AS other",
    "ATTACH '{file}'",
    "DETACH held",
    "USE held",
    "SET memory_limit = '100GB'",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "RESET memory_limit",
    "PRAGMA database_list",
    "PRAGMA enable_profiling",
    "CALL pragma_version()",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '{file}'",
    "EXPLAIN SELECT 1",
    "EXPLAIN ANALYZE SELECT 1",
    "DESCRIBE nights",
    "SUMMARIZE nights",
    "SHOW TABLES",
    "SHOW ALL TABLES",
    "FROM (DESCRIBE nights)",
    "FROM (SHOW ALL TABLES)",
    "PIVOT nights ON quality USING count(*)",
    "FROM (PIVOT nights ON quality USING count(*))",
    "UNPIVOT nights ON tst_s, waso_s",
    "PREPARE q AS SELECT 1",
    "EXECUTE q",
    "BEGIN",
    "COMMIT",
    "CHECKPOINT",
    "VACUUM",
    "ANALYZE",
    "SET VARIABLE x = 1",
    "CREATE SECRET (TYPE http)",
    # Several, and none.
    "SELECT 1; SELECT 2",
    "SELECT 1; COPY nights TO '{file}'",
    "SELECT 1; DROP VIEW nights; --",
    ";",
    "--",
    "/* nothing */",
    "SELECT $1",
    "SELECT ?",
    # Tables.
    "FROM users",
    "FROM sessions_of_others",
    "FROM published.main.users",
    "FROM published.users",
    "FROM memory.main.nights",
    "FROM main.nights",
    "FROM held.main.nights",
    "FROM held.nights",
    'FROM "held"."main"."nights"',
    "FROM temp.nights",
    "FROM pseudonyms",
    "FROM people",
    "FROM arriving",
    "FROM system.information_schema.tables",
    "FROM information_schema.tables",
    "FROM pg_catalog.pg_class",
    "FROM pg_class",
    "FROM sqlite_master",
    "FROM duckdb_tables",
    "FROM duckdb_settings",
    "FROM duckdb_secrets",
    "FROM pragma_database_list",
    "SELECT (SELECT count(*) FROM duckdb_tables)",
    "SELECT 1 WHERE EXISTS (FROM duckdb_settings)",
    "SELECT 1 FROM nights WHERE person IN (SELECT name FROM duckdb_settings)",
    "SELECT 1 UNION ALL SELECT count(*) FROM duckdb_views",
    "WITH a AS (FROM duckdb_tables) FROM a",
    "WITH duckdb_tables AS (SELECT 1) FROM duckdb_tables",
    "SELECT (WITH sqlite_master AS (SELECT 1) SELECT 1), (SELECT count(*) FROM sqlite_master)",
    'WITH "/etc/passwd" AS (SELECT 1) FROM "/etc/passwd"',
    "FROM '{secret}'",
    "FROM '{published}'",
    "FROM '/etc/passwd'",
    "FROM '/proc/self/environ'",
    "FROM 'https://example.com/x.csv'",
    "FROM 's3://bucket/x.parquet'",
    "FROM 'x.csv'",
    "FROM nights, '{secret}'",
    "FROM nights AT (VERSION => 1)",
    "TABLE users",
    # Table functions.
    "FROM read_csv('{secret}')",
    "FROM read_csv_auto('{secret}')",
    "FROM read_text('{secret}')",
    "FROM read_blob('{secret}')",
    "FROM read_json('{secret}')",
    "FROM read_json_auto('{secret}')",
    "FROM read_ndjson('{secret}')",
    "FROM read_parquet('{published}')",
    "FROM parquet_scan('{published}')",
    "FROM parquet_metadata('{published}')",
    "FROM read_duckdb('{published}')",
    "FROM sniff_csv('{secret}')",
    "FROM glob('/etc/*')",
    "FROM query('SELECT 1')",
    "FROM query_table('users')",
    "FROM json_execute_serialized_sql('x')",
    "FROM sql_auto_complete('SEL')",
    "FROM duckdb_settings()",
    "FROM duckdb_tables()",
    "FROM duckdb_databases()",
    "FROM duckdb_secrets()",
    "FROM duckdb_functions()",
    "FROM duckdb_extensions()",
    "FROM duckdb_logs()",
    "FROM duckdb_temporary_files()",
    "FROM pragma_table_info('nights')",
    "FROM pragma_storage_info('nights')",
    "FROM sqlite_scan('{file}', 'x')",
    "FROM sqlite_attach('{file}')",
    "FROM arrow_scan(1, 2, 3)",
    "FROM arrow_scan_dumb(1, 2, 3)",
    "FROM pandas_scan(1)",
    "FROM python_map_function(1)",
    "FROM seq_scan('nights')",
    "FROM checkpoint()",
    "FROM force_checkpoint()",
    "FROM summary(FROM nights)",
    "FROM repeat(1, 100)",
    "FROM repeat_row(1, num_rows => 100)",
    "FROM test_all_types()",
    "FROM unnest([1, 2])",
    "FROM which_secret('x', 's3')",
    "FROM range(1000000000)",
    "FROM range(0, 100001, 1)",
    "FROM generate_series(1, 999999999)",
    "FROM generate_series(DATE '2026-01-01', DATE '9999-01-01', INTERVAL 1 DAY)",
    "FROM range((SELECT 5))",
    "FROM main.range(3)",
    # Functions.
    "SELECT getenv('HOME')",
    "SELECT GETENV('HOME')",
    "SELECT \"getenv\"('HOME')",
    "SELECT main.getenv('HOME')",
    "SELECT system.main.getenv('HOME')",
    "SELECT 'HOME'.getenv()",
    "SELECT current_setting('memory_limit')",
    "SELECT getvariable('x')",
    "SELECT read_text('{secret}')",
    "SELECT content FROM read_text('{secret}')",
    "SELECT glob('*')",
    "SELECT current_user",
    "SELECT user",
    "SELECT session_user",
    "SELECT current_database()",
    "SELECT current_schema()",
    "SELECT current_schemas(true)",
    "SELECT current_catalog",
    "SELECT current_query()",
    "SELECT current_timestamp",
    "SELECT now()",
    "SELECT random()",
    "SELECT setseed(0.5)",
    "SELECT uuid()",
    "SELECT nextval('x')",
    "SELECT currval('x')",
    "SELECT version()",
    "SELECT pg_typeof(1)",
    "SELECT txid_current()",
    "SELECT in_search_path('a', 'b')",
    "SELECT has_table_privilege('nights', 'SELECT')",
    "SELECT error('x')",
    "SELECT write_log('x')",
    "SELECT parse_duckdb_log_message('a', 'b')",
    "SELECT add_parquet_key('a', 'b')",
    "SELECT json_serialize_sql('SELECT 1')",
    "SELECT json_deserialize_sql('x')",
    "SELECT json_extract('{{}}', '$')",
    "SELECT sum(tst_s) FILTER (getenv('HOME') = 'x') FROM nights",
    "SELECT sum(tst_s) OVER (ORDER BY getenv('HOME')) FROM nights",
    "SELECT sum(tst_s ORDER BY getenv('HOME')) FROM nights",
    "SELECT 1 FROM nights ORDER BY getenv('HOME')",
    "SELECT 1 FROM nights GROUP BY getenv('HOME')",
    "SELECT 1 FROM nights HAVING getenv('HOME') = 'x'",
    "SELECT 1 FROM nights QUALIFY getenv('HOME') = 'x'",
    "SELECT 1 LIMIT length(getenv('HOME'))",
    "SELECT 1 LIMIT 1 OFFSET length(getenv('HOME'))",
    "SELECT DISTINCT ON (getenv('HOME')) 1 FROM nights",
    "SELECT * REPLACE (getenv('HOME') AS person) FROM nights",
    "SELECT CASE WHEN getenv('HOME') = 'x' THEN 1 END",
    "SELECT 1 BETWEEN 0 AND length(getenv('HOME'))",
    "SELECT 1 IN (length(getenv('HOME')))",
    "SELECT x FROM (VALUES (getenv('HOME'))) v(x)",
    "SELECT 1 FROM nights n JOIN sessions s ON getenv('HOME') = n.person",
    "WITH a AS (SELECT getenv('HOME') AS x) SELECT 1",
    "SELECT COLUMNS(lambda c: getenv('HOME') = c) FROM nights",
    # What makes much of little.
    "SELECT repeat('x', 1000000000)",
    "SELECT lpad('x', 1000000000, 'y')",
    "SELECT rpad('x', 1000000000, 'y')",
    "SELECT bar(1, 0, 1, 1000000000)",
    "SELECT 'a' || 'b'",
    "SELECT concat('a', 'b')",
    "SELECT replace('a', 'a', 'bb')",
    "SELECT format('{{:1000000000}}', 'x')",
    "SELECT printf('%1000000000d', 1)",
    "SELECT range(1000000000)",
    "SELECT generate_series(1, 1000000000)",
    "SELECT list(person) FROM nights",
    "SELECT string_agg(person) FROM nights",
    "SELECT array_agg(person) FROM nights",
    "SELECT histogram(tst_s) FROM nights",
    "SELECT max(tst_s, 1000000) FROM nights",
    "SELECT arg_max(person, tst_s, 1000000) FROM nights",
    "SELECT [1, 2]",
    "SELECT ARRAY[1, 2]",
    "SELECT {{'a': 1}}",
    "SELECT MAP {{'a': 1}}",
    "SELECT row(1, 2)",
    "SELECT list_transform([1], lambda x: x)",
    "SELECT [x FOR x IN [1]]",
    "SELECT unnest([1])",
    "SELECT '[1]'::INTEGER[]",
    "SELECT 'x'::BLOB",
    "SELECT '1'::BIT",
    "SELECT '{{}}'::JSON",
    "SELECT '1'::INTEGER[3]",
    "SELECT '1'::STRUCT(a INTEGER)",
    "SELECT '1'::mine",
    "SELECT TIMESTAMPTZ '2026-01-01 00:00:00 Europe/Berlin'",
    "SELECT bitstring('1', 1000000000)",
    "SELECT regexp_replace('a', 'a', 'bb', 'g')",
    "SELECT translate('a', 'a', 'b')",
    "WITH RECURSIVE r AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM r) FROM r",
    "WITH RECURSIVE r(x) USING KEY (x) AS (SELECT 1 UNION SELECT x + 1 FROM r) FROM r",
    "FROM nights AS a" + "".join(f", nights AS n{n}" for n in range(20)),
    "SELECT " + "(" * 3000 + "1" + ")" * 2999,
    "SELECT " + "abs(" * 1500 + "1" + ")" * 1500,
    "SELECT " + "CASE WHEN true THEN " * 400 + "1" + " END" * 400,
    "SELECT " + "1 + " * 2400 + "1",
    # What is simply wrong.
    "selec 1",
    "SELECT no_such_column FROM nights",
    "SELECT no_such_function(1)",
    "SELECT 'x'::INTEGER",
    "SELECT '\x00'",
    "SELECT\x001",
)


@pytest.mark.parametrize("sql", ATTACKS, ids=lambda sql: sql[:50].replace("\x00", "0"))
def test_attacks_are_refused(
    api: Client, many: Crowd, analyst: dict[str, str], tmp_path: Path, sql: str
) -> None:
    """With a problem; no file is read or written."""
    secret = tmp_path / "secret.csv"
    secret.write_text("canary\n", encoding="utf-8")
    paths = {"file": tmp_path / "made", "secret": secret, "published": many.made.path}
    said = sql.format(**paths) if "{" in sql else sql
    answer = api.post("/v1/query", json={"sql": said}, headers=analyst)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert "canary" not in answer.text
    assert list(tmp_path.iterdir()) == [secret]


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("SELECT getenv('HOME')", "'getenv'"),
        ("FROM published.main.users", "'published.main.users'"),
        ("FROM read_csv('x')", "'read_csv'"),
        ("SELECT '1'::JSON", "'JSON'"),
        ("SELECT current_user", "'current_user'"),
        ("WITH duckdb_tables AS (SELECT 1) SELECT 1", "'duckdb_tables'"),
    ],
)
def test_a_refusal_names_what_it_is_about(
    api: Client, analyst: dict[str, str], sql: str, name: str
) -> None:
    """So that it can be left out."""
    answer = api.post("/v1/query", json={"sql": sql}, headers=analyst)
    assert name in answer.json()["detail"]


def test_functions_that_are_allowed_are_known_to_duckdb() -> None:
    """And none of them depends on more than its arguments, as DuckDB itself sees it."""
    with duckdb.connect() as con:
        rows = con.execute(
            "SELECT function_name, bool_and(coalesce(stability, 'CONSISTENT') = 'CONSISTENT') "
            "FROM duckdb_functions() WHERE function_type IN ('scalar', 'aggregate') GROUP BY 1"
        ).fetchall()
    stable = {name for name, is_stable in rows if is_stable}
    unstable = {name for name, is_stable in rows if not is_stable}
    assert not FUNCTIONS & unstable
    assert len(FUNCTIONS & stable) > 120


NAMES = st.text(
    alphabet=[*string.ascii_letters, *string.digits, *"_.'\"-/ \\;()$*\n\x00é"], max_size=30
)


@given(NAMES)
@example('nights" JOIN "users')
@example("nights\x00users")
@with_settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_name_but_the_tables_is_read(parser: duckdb.DuckDBPyConnection, name: str) -> None:
    """Quoted or not, as a table, and as a function."""
    quoted = '"' + name.replace('"', '""') + '"'
    for sql in (
        f"FROM {quoted}",
        f"FROM held.{quoted}",
        f"FROM {quoted}(1)",
        f"SELECT {quoted}(1)",
    ):
        is_fine = name.lower() in TABLES and sql == f"FROM {quoted}"
        is_known = name.lower() in FUNCTIONS | {"range", "generate_series"}
        if is_fine or is_known:
            continue
        with pytest.raises(QueryRefused):
            check_sql(parser, sql, TABLES)


@given(NAMES)
@with_settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_passes_reads_the_tables_alone(parser: duckdb.DuckDBPyConnection, name: str) -> None:
    """Put in anywhere as it is, a name may be refused; where it passes, DuckDB reads nothing else."""
    for sql in (f"FROM {name}", f"SELECT 1 FROM nights {name}", f"SELECT {name} FROM nights"):
        try:
            check_sql(parser, sql, TABLES)
            read = set(duckdb.get_table_names(sql, qualified=True))
        except (QueryRefused, duckdb.Error):
            continue
        # An alias is given with the name.
        assert {table.lower().partition(" as ")[0] for table in read} <= set(TABLES)


def test_answers_have_a_limit_of_rows_and_of_bytes(api: Client, analyst: dict[str, str]) -> None:
    """There is more than is given, and too much is refused."""
    found = ask(api, analyst, "SELECT a.tst_s FROM nights a, nights b")
    assert (len(found["rows"]), found["has_more"]) == (10_000, True)
    long = "x" * 9_000
    for sql in (f"SELECT '{long}' FROM nights a, nights b", "SELECT " + "1, " * 300 + "1"):
        answer = api.post("/v1/query", json={"sql": sql}, headers=analyst)
        assert answer.status_code == 422


@pytest.mark.parametrize(
    "body",
    ['{"sql": 1}', '{"sql": ""}', "{}", '{"sql": "SELECT 1", "more": 1}', "[]", "SELECT 1"],
)
def test_a_question_is_as_the_schema_says(api: Client, analyst: dict[str, str], body: str) -> None:
    """One text and nothing beside it."""
    header = analyst | {"content-type": "application/json"}
    assert api.post("/v1/query", content=body, headers=header).status_code in {400, 422}
    long = {"sql": "SELECT 1" + " " * 10_000}
    assert api.post("/v1/query", json=long, headers=analyst).status_code == 422


ENDLESS = "SELECT count(*) FROM nights a, nights b, nights c, nights d WHERE a.tst_s <> d.tst_s"
HUNGRY = (
    "SELECT median(a.tst_s * b.tst_s * 1.0 + c.number) FROM nights a, nights b, nights c",
    "SELECT a.person, count(*) FROM nights a, nights b, nights c GROUP BY 1, a.tst_s * b.tst_s + c.tst_s",
    "SELECT a.tst_s FROM nights a, nights b, nights c ORDER BY a.tst_s * b.tst_s + c.tst_s",
    "SELECT lag(a.tst_s) OVER (ORDER BY a.tst_s * b.tst_s) FROM nights a, nights b, nights c",
)


def test_others_are_answered_during_an_endless_query(many: Crowd, analyst: dict[str, str]) -> None:
    """Of the same organisation, and of another one's analysts; and what ends with it is told of."""
    service = build_service(many.settings)
    with serving(service) as api:
        desk = Desk(
            Warehouse(many.settings.warehouse_path), many.settings.secret_path, longest_s=120
        )
        service.state[DESK].close()
        service.state[DESK] = desk
        ask(api, analyst, "SELECT 1")
        process = desk._places["large"]._process
        assert process is not None
        ended: list[Any] = []
        asking = threading.Thread(
            target=lambda: ended.append(
                api.post("/v1/query", json={"sql": ENDLESS}, headers=analyst)
            )
        )
        asking.start()
        small = as_role(many, "small", Role.ANALYST)
        assert api.get("/v1/organisation/weeks", params=MONTH, headers=analyst).status_code == 200
        assert ask(api, small, "SELECT count(*) FROM nights")["rows"] == [[102]]
        process.kill()
        asking.join()
        assert ended[0].status_code in {422, 503}
        assert ask(api, analyst, "SELECT 1")["rows"] == [[1]]


def test_an_endless_query_ends(many: Crowd) -> None:
    """After the time that it may take; the process goes on."""
    desk = Desk(Warehouse(many.settings.warehouse_path), many.settings.secret_path, longest_s=2)
    with pytest.raises(Unanswerable, match="longer than 2 s"):
        desk.query("large", ENDLESS)
    assert desk.query("large", "SELECT 1").rows == [[1]]
    desk.close()


@pytest.mark.parametrize("sql", HUNGRY)
def test_hungry_queries_end(api: Client, analyst: dict[str, str], sql: str) -> None:
    """Before the machine has no memory left; the next one is answered."""
    answer = api.post("/v1/query", json={"sql": sql}, headers=analyst)
    assert answer.status_code == 422, answer.text
    assert "memory" in answer.json()["detail"]
    assert ask(api, analyst, "SELECT 1")["rows"] == [[1]]


def test_few_wait_for_one_organisation(many: Crowd) -> None:
    """The others are told to come again, so that they do not hold the threads."""
    desk = Desk(Warehouse(many.settings.warehouse_path), many.settings.secret_path, longest_s=2)
    told: list[str] = []

    def question() -> None:
        try:
            desk.query("large", ENDLESS)
        except (Occupied, Unanswerable) as error:
            told.append(type(error).__name__)

    askers = [threading.Thread(target=question) for _ in range(6)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    desk.close()
    assert sorted(told) == ["Occupied"] * 3 + ["Unanswerable"] * 3


def test_a_killed_process_is_started_again(many: Crowd) -> None:
    """What the system ends under it is one answer lost."""
    desk = Desk(Warehouse(many.settings.warehouse_path), many.settings.secret_path)
    assert desk.query("small", "SELECT 1").rows == [[1]]
    process = desk._places["small"]._process
    assert process is not None
    process.kill()
    process.wait()
    with pytest.raises(Unanswerable):
        desk.query("small", "SELECT 1")
    assert desk.query("small", "SELECT 1").rows == [[1]]
    desk.close()


def test_a_new_publication_is_asked_by_the_next(many: Crowd) -> None:
    """The process of the old edition ends."""
    desk = Desk(Warehouse(many.settings.warehouse_path), many.settings.secret_path)
    desk.query("small", "SELECT 1")
    before = desk._places["small"]._process
    many.made.publish()
    assert desk.query("small", "SELECT count(*) FROM nights").rows == [[102]]
    assert before is not None
    assert before.poll() is not None
    desk.close()


def test_the_process_has_no_secrets(many: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment holds what Python needs."""
    monkeypatch.setenv("ASLEEP_PIPELINE_API_KEY", "canary-of-the-key")
    desk = Desk(Warehouse(many.settings.warehouse_path), many.settings.secret_path)
    desk.query("small", "SELECT 1")
    process = desk._places["small"]._process
    assert process is not None
    environment = Path(f"/proc/{process.pid}/environ")
    if environment.exists():
        assert b"canary" not in environment.read_bytes()
    desk.close()
