"""Jobs: what should happen next, and the processes that do it."""
