"""The definitions of the figures, as the page shows them. docs/revenue.md has the complete text."""

DEFINITIONS = {
    "mrr": (
        "MRR",
        "Monthly recurring revenue: the recurring price of all subscriptions per month, with quantity and repeating discounts, before tax. "
        "Yearly prices count as a twelfth. Past due subscriptions count until they end; first trials and paused collection count as zero.",
    ),
    "arr": ("ARR", "Annual recurring revenue: 12 times MRR."),
    "net": ("Net new MRR", "MRR at the end of the period minus MRR at its start. Equals the sum of the movements."),
    "customers": ("Paying customers", "Organizations with recurring revenue at the end of the period."),
    "arpu": ("ARPU", "Average revenue per user: MRR divided by paying customers."),
    "trials": ("Trials", "Subscriptions in their first trial at the end of the period."),
    "conversion": (
        "Trial conversion",
        "The share of the trials that ended in the period and became paid subscriptions. Trials shorter than a day are not counted.",
    ),
    "customer_churn": ("Customer churn", "Paying customers lost in the period, as a share of those at its start."),
    "revenue_churn": ("Revenue churn", "MRR lost by churn and contraction in the period, as a share of MRR at its start."),
    "at_risk": ("At risk", "The MRR of subscriptions whose payment is past due and is being retried. It is included in MRR."),
    "overage": ("Overage revenue", "Metered usage on invoices that were finalized in the period, after discounts and before tax."),
    "new": ("New", "The first recurring revenue of an organization in this currency."),
    "expansion": ("Expansion", "Additional revenue from existing customers: upgrades, larger quantities, or discounts that ended."),
    "reactivation": ("Reactivation", "Revenue from former customers who pay again, or whose payment collection resumed."),
    "contraction": ("Contraction", "Lost revenue from remaining customers: downgrades, smaller quantities, or new discounts."),
    "churn": ("Churn", "Lost revenue from customers who canceled, or whose payment collection was paused."),
    "organizations": ("Organizations", "Organizations that are not closed."),
    "active": ("Active organizations", "Organizations that recorded usage in the last 30 days of the period."),
}
