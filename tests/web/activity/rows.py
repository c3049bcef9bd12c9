"""Many rows of every source of one organization, inserted at once."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from accounts.models import ApiKey, AuditEvent, Organization, User
from billing.models import Adjustment, BillingAction, Invoice, SubscriptionState
from contextmcp.common.models import OutgoingEmail
from usage.models import RefusalSummary, UsageAlert

START = datetime(2026, 1, 1, tzinfo=UTC)


def fill(organization: Organization, user: User, number: int, *, step: timedelta = timedelta(minutes=1), same: int = 1) -> None:
    """Insert `number` rows of each source, `step` apart.

    Every `same` consecutive rows of a source share one timestamp, which rows of other sources also have.
    """
    prefix = organization.slug
    times = [START + step * (index // same) for index in range(number)]
    AuditEvent.objects.bulk_create(
        AuditEvent(organization=organization, actor_user=user, action="key.revoked", before={"name": f"K{index}"}, created_at=at)
        for index, at in enumerate(times)
    )
    amounts = {"subtotal": 900, "total": 900, "amount_due": 900, "amount_paid": 900, "amount_remaining": 0, "currency": "usd"}
    Invoice.objects.bulk_create(
        Invoice(
            organization=organization, stripe_invoice_id=f"in_{prefix}{index}", number=f"A-{index}", status="paid", created_at=at,
            paid_at=at,
            failed_at=at if index % 2 else None, **amounts,
        )
        for index, at in enumerate(times)
    )  # fmt: skip
    Adjustment.objects.bulk_create(
        Adjustment(
            organization=organization, kind="refund" if index % 3 else "dispute", stripe_id=f"re_{prefix}{index}",
            stripe_invoice_id=f"in_{prefix}{index}", status="succeeded", amount=400, currency="usd", created_at=at,
        )
        for index, at in enumerate(times)
    )  # fmt: skip
    SubscriptionState.objects.bulk_create(
        SubscriptionState(
            organization=organization, stripe_subscription_id=f"sub_{prefix}{index}", status="canceled", started_at=at, canceled_at=at,
            ended_at=at, anchor=at, currency="usd",
        )
        for index, at in enumerate(times[:20])
    )  # fmt: skip
    BillingAction.objects.bulk_create(
        BillingAction(organization=organization, kind="change_plan", state="failed", error="PaymentRequired", created_at=at) for at in times
    )
    UsageAlert.objects.bulk_create(
        UsageAlert(
            organization=organization, feature="sessions", period_start=START + timedelta(seconds=index), period_end=at,
            kind="threshold_80", used=80, included=100, occurred_at=at, created_at=at,
        )
        for index, at in enumerate(times)
    )  # fmt: skip
    RefusalSummary.objects.bulk_create(
        RefusalSummary(organization=organization, minute=at.replace(second=0), code=f"code_{index % same}", count=2)
        for index, at in enumerate(times)
    )
    emails = OutgoingEmail.objects.bulk_create(
        OutgoingEmail(
            organization_id=organization.pk, category="billing.receipt", recipients=["a@b.example"], from_email="x@y.example", subject="S",
            state="sent", expires_at=at,
        )
        for at in times
    )  # fmt: skip
    for email, at in zip(emails, times, strict=True):
        email.created_at = at
    OutgoingEmail.objects.bulk_update(emails, ["created_at"], batch_size=2000)


def insert_key(organization: Organization, user: User, name: str) -> ApiKey:
    return ApiKey.objects.create(
        organization=organization, created_by=user, public_id=uuid4().hex[:12], bcrypt_hash="", hmac=b"", hmac_version=1, name=name,
        environment="test",
    )  # fmt: skip
