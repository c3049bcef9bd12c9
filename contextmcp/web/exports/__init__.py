"""Exports of all data of an organization.

`service` requests, builds and deletes exports, `tables` reads the data, and `archive` writes the ZIP file.

A job reads each table row by row and stores the compressed file in rows of one megabyte, so its memory does not grow with the data. Usage
is read from the daily summaries, not from the events.
"""
