"""Versions of the catalogue's tables, applied by `geomon.stores.database`."""
