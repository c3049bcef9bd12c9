"""The operations that change catalogs, grants and overrides."""
