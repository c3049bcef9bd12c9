"""Recording of usage events: `event_parsing` validates events, `plan_history` finds the plan at their time, `result` renders results."""
