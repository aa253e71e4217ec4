"""What people answer in Slack, and what comes of it."""
