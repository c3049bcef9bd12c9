"""Endpoints that join several apps."""
