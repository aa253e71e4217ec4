"""Minor planets: the orbits of a local file, and where they stand in a night."""
