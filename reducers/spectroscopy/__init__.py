"""Long-slit steps: arc, wavelength, flexure, sky, trace, extraction, response."""
