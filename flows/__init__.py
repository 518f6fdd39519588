"""Prefect flows: thin shells over `geomon.services`."""
