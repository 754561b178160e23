"""Measurements, never tests: figures as ratios in one run or as distributions."""
