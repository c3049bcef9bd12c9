"""What was granted while Postgres was away, on this machine's disk until it is counted.

`folder` names the place, `lines` the form, `files` who writes and who adopts, `keeper` writes them, `replay` counts them.
"""
