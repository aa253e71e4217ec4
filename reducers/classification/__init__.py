"""What a spectrum shows: the type, redshift and phase of a transient, lines of its host, a star."""
