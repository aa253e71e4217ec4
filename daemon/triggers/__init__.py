"""Notices of events: how they come in, and which images they are about."""
