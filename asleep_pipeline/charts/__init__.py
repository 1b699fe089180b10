"""Charts: pure functions from frames to Altair charts, and their rendering without a browser.

Importing this package takes Altair along, which is slow: import it inside of functions.
"""

from asleep_pipeline.charts.days import calendar, raster
from asleep_pipeline.charts.distributions import distribution
from asleep_pipeline.charts.hypnogram import hypnogram
from asleep_pipeline.charts.nights import bed_to_wake, stage_stack
from asleep_pipeline.charts.quality import quality_bars
from asleep_pipeline.charts.render import png_markdown, to_png, to_svg
from asleep_pipeline.charts.scores import score_parts
from asleep_pipeline.charts.theme import Chart
from asleep_pipeline.charts.transitions import transition_matrix
from asleep_pipeline.charts.trends import CLOCK, trend

__all__ = [
    "CLOCK",
    "Chart",
    "bed_to_wake",
    "calendar",
    "distribution",
    "hypnogram",
    "png_markdown",
    "quality_bars",
    "raster",
    "score_parts",
    "stage_stack",
    "to_png",
    "to_svg",
    "transition_matrix",
    "trend",
]
