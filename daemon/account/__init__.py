"""The account of a night: every file, frame and product explained, every number proven."""
