"""Changes at Stripe that staff make for one customer: free days, discounts, credit, refunds, pauses and cancellations.

`execute` sends each of them once, records it, and syncs the customer. Each module has what the preview needs and the change itself. The
back office calls them; nothing else enters this package.
"""
