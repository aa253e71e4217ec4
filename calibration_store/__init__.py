"""Memory of calibrations: which masters exist and which one fits a frame."""
