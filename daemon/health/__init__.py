"""How the instrument fares: series of what reductions measure anyway, and when one changes."""
