"""The business figures of the home page: revenue, customers, activity and usage, with charts and CSV files.

`filters` parses the range and currency, `figures` formats the results of `billing.revenue.selectors`, `charts` draws, and `csv_export` is
the view of the files.
"""
