"""Images of the sky: from debiased electrons to measured stars."""
