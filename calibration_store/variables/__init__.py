"""Known variable stars: what local files bring, and those of a field."""
