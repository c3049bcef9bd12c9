"""Tests of the settings of organizations and users."""
