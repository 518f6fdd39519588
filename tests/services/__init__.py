"""Services on a simulated network."""
