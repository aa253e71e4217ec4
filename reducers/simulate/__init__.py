"""A forward model of ALFOSC: raw frames as the camera writes them, with the truth beside them."""
