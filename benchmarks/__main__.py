"""`python -m benchmarks`: the benchmarks beside the rivals, and those of a fixed small size."""

from __future__ import annotations

from benchmarks import disk, pull, startup

pull.main(pull.USERS)
disk.main(disk.USERS)
startup.main()
