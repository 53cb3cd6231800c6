"""Moves frames in time: sources, the loop, sinks, and the commands."""
