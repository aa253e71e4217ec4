"""The report of a night: gathered once into one value, told in text, HTML, JSON and CSV."""
