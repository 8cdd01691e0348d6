"""Frames whose cosines are known exactly."""
