"""The warehouse: one plain DuckDB file for analysts, published from one snapshot of the lake."""

from asleep_pipeline.warehouse.publish import PublishReport, publish

__all__ = ["PublishReport", "publish"]
