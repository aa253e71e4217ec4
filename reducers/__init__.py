"""Arithmetic: pure functions from frames to products; no clock, database or network."""
