"""Alerts to the operator: the conditions that are evaluated every minute, their pages, and test alerts.

`accounts.operator_alerts` stores alerts and notifies the operator. The thresholds are settings (ALERT_...).
"""
