"""What is done at set times of a night, once, whatever restarts."""
