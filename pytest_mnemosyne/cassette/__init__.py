"""Recorded Claude interactions."""
