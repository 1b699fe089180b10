"""Reports: what a week or a month of a user or an organisation says.

A report is a value (`model`), read from the published file (`content`) and put down as JSON, as a
page (`page`), or for everyone at once as Parquet (`bulk`).
"""

from asleep_pipeline.reports.content import default_week, organisation_report, user_report
from asleep_pipeline.reports.model import OrganisationReport, UserReport
from asleep_pipeline.reports.period import Period, month_of, read_week, week_of

__all__ = [
    "OrganisationReport",
    "Period",
    "UserReport",
    "default_week",
    "month_of",
    "organisation_report",
    "read_week",
    "user_report",
    "week_of",
]
