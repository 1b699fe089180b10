"""The pipeline as Dagster sees it: partitions, assets, checks, jobs, schedules, sensors.

Assets are a few lines that call the other rooms; no logic lives here.
"""

import warnings

import dagster as dg

# Backfill policies are marked beta in dagster 1.13; the pinned range of versions has them.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
