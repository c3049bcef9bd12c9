"""Changes at Stripe that staff make for one customer: free days, discounts, credit, refunds, pauses and cancellations.

`execute` sends each of them once, records it, and syncs the customer. Each module contains the change and the functions that its preview
needs. Only the back office uses this package.
"""
