"""Periodic jobs of the back office: the work queue and alerts to the operator."""

from procrastinate.contrib.django import app

from accounts import alert_delivery
from contextmcp.common import incident_totals

from .alerts.conditions import evaluate
from .work_queue import collect


@app.periodic(cron="* * * * *")
@app.task(name="backoffice.collect_work", queue="maintenance", queueing_lock="backoffice.collect_work", lock="backoffice.collect_work")
def collect_work(timestamp: int) -> None:
    """Find the problems that staff must handle."""
    collect.collect(timestamp // 60)


@app.periodic(cron="* * * * * */30")
@app.task(
    name="backoffice.evaluate_alerts", queue="maintenance", queueing_lock="backoffice.evaluate_alerts", lock="backoffice.evaluate_alerts"
)
def evaluate_alerts(timestamp: int) -> None:
    """Open an alert for each condition that holds, and resolve those whose condition has ended."""
    evaluate()


@app.periodic(cron="* * * * * */10")
@app.task(name="backoffice.deliver_alerts", queue="emails", queueing_lock="backoffice.deliver_alerts", lock="backoffice.deliver_alerts")
def deliver_alerts(timestamp: int) -> None:
    """Send the requests to the operator's webhooks that are due."""
    alert_delivery.deliver_due()


@app.periodic(cron="47 3 * * *")
@app.task(name="backoffice.purge", queue="maintenance", queueing_lock="backoffice.purge")
def purge(timestamp: int) -> None:
    """Delete old work items, alert deliveries and counts of incidents."""
    collect.purge()
    alert_delivery.purge()
    incident_totals.purge()
