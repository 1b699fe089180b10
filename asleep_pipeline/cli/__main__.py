"""`python -m asleep_pipeline.cli`: the same as the program `asleep-pipeline`."""

from asleep_pipeline.cli import main

main()
