"""Which UTC offset holds where and when, and what a clock on the wall showed."""
