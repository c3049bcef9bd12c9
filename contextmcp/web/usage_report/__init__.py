"""The usage page of a member: what was used, by whom, compared with the period before, and how far the quota lasts.

`selection` reads the choice from the URL, `periods` turns it into times, `amounts` reads the summaries, and `labels` names keys, members
and tools as far as the member may see them. `report` joins them into the numbers that the chart, the table and the CSV show.
`outlook` compares the current usage month with the limit of its quota. `page` is what the view calls.
"""
