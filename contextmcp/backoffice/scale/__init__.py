"""Generated data of a large deployment, for measuring the back office: `manage.py seed_scale`.

At scale 1 there are 100,000 organizations, a million API keys, audit events and webhook events each, 300,000 invoices and ten million
usage events. All rows are inserted by INSERT ... SELECT in one transaction. The same scale and seed generate the same rows, relative to
the current hour. The objects do not exist at Stripe, and the keys and endpoints cannot be used.
"""
