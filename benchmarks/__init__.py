"""Speed as ratios: ours and a named rival side by side in one run, against the simulator."""
