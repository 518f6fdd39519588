"""Real recordings, from a data centre to located events."""
