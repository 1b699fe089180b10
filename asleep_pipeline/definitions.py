"""What Dagster loads: `workspace.yaml` points here."""

from asleep_pipeline.disk import write_privately
from asleep_pipeline.log import configure_logging
from asleep_pipeline.orchestration.definitions import build_definitions
from asleep_pipeline.orchestration.platform import Platform
from asleep_pipeline.settings import load_settings

write_privately()
configure_logging()
defs = build_definitions(Platform(load_settings()))
