"""The forward model: byte-realistic raw frames with the truth beside them."""
