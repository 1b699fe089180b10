"""The lake: a DuckLake that holds every answer and every session, one transaction over all tables."""

from asleep_pipeline.lake.columns import Column, Table
from asleep_pipeline.lake.ducklake import Lake
from asleep_pipeline.lake.tables import TABLES

__all__ = ["TABLES", "Column", "Lake", "Table"]
