"""Profiles and tables of facts, one TOML file per instrument."""
