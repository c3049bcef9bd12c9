"""Every call to Stripe, by noun. Answers are plain dictionaries in the shape of one API version; refusals are translated once."""
