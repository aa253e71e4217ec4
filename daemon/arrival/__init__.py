"""The way of a file: watch, settle, reconcile, ingest."""
