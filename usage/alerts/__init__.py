"""Usage alerts: `evaluate` compares changed counters with `thresholds`, `publish` stores and announces an alert, `email` sends it."""
