"""The definitions of the figures, as the page shows them. docs/revenue.md has the complete text."""

DEFINITIONS = {
    "mrr": (
        "MRR",
        "Monthly recurring revenue: the recurring price of all subscriptions per month, with quantity and repeating discounts, before tax. "
        "Yearly prices count as a twelfth. Past due subscriptions count until they end; first trials and paused collection count as zero.",
    ),
    "arr": ("ARR", "Annual recurring revenue: 12 times MRR."),
    "net": ("Net new MRR", "MRR at the end of the period less MRR at its start: the sum of the movements."),
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
    "expansion": ("Expansion", "More revenue of a customer, by an upgrade, a larger quantity or the end of a discount."),
    "reactivation": ("Reactivation", "Revenue of a former customer who pays again, or whose collection is no longer paused."),
    "contraction": ("Contraction", "Less revenue of a customer, by a downgrade, a smaller quantity or a new discount."),
    "churn": ("Churn", "Customers whose recurring revenue became zero, because they ended or their collection was paused."),
    "organizations": ("Organizations", "Organizations that are not closed."),
    "active": ("Active organizations", "Organizations that recorded usage in the last 30 days of the period."),
}
