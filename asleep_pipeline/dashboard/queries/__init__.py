"""What the pages show, asked of the published file.

Every function takes a connection of `asleep_pipeline.warehouse.export.read_warehouse`. It is opened
for one answer and closed after it: a file that is published in between is there with the next one.
"""
