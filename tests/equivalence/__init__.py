"""The same work, cut and ordered differently, gives the same catalogue."""
