"""A synthetic set with a known answer goes the whole way, to show that the whole way works."""
