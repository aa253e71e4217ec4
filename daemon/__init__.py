"""Time: everything that happens when; watches, schedules, works, tells."""
