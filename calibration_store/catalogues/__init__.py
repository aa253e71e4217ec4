"""Reference catalogues: what is known of the sky, on local disc and from services."""
