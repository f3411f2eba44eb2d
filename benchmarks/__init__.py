"""Measurements on real clips of speakers that nothing was trained or tuned on. `python -m benchmarks` runs all."""
