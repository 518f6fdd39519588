"""Web services and the web page, reading the stores only."""
