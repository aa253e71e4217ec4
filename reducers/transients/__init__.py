"""What is new in the sky: sources that no catalogue knows, vetted and ranked."""
