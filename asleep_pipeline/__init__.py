"""Every night of every Asleep user, complete and correct, in Parquet and DuckDB, by Dagster."""

from importlib.metadata import version

__version__ = version("asleep-pipeline")
