"""Invoices, and the refunds, disputes and credit notes that belong to them."""

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q


@models.TextField.register_lookup
class HasWord(models.Lookup):
    """Lookup that tests whether a text of words separated by spaces contains a word."""

    lookup_name = "has_word"

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:  # type: ignore[override]
        text, text_values = self.process_lhs(compiler, connection)
        word, word_values = self.process_rhs(compiler, connection)
        # This must equal the expression of the index (migration `list_indexes`).
        return f"string_to_array({text}, ' ') @> ARRAY[{word}]::text[]", [*text_values, *word_values]


class Invoice(models.Model):
    """The projection of one Stripe invoice. Amounts are minor units of `currency`."""

    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="invoices")
    stripe_invoice_id = models.CharField(max_length=64, unique=True)
    stripe_subscription_id = models.CharField(max_length=64, blank=True, db_index=True)
    payment_ids = models.TextField(blank=True, help_text="IDs of the invoice's payment intents and charges, separated by spaces.")
    number = models.CharField(max_length=64, blank=True)
    status = models.CharField(max_length=16, db_index=True)
    billing_reason = models.CharField(max_length=40, blank=True)
    currency = models.CharField(max_length=3)
    subtotal = models.BigIntegerField()
    discount = models.BigIntegerField(default=0)
    tax = models.BigIntegerField(default=0)
    total = models.BigIntegerField()
    amount_due = models.BigIntegerField()
    amount_paid = models.BigIntegerField()
    amount_remaining = models.BigIntegerField()
    amount_refunded = models.BigIntegerField(default=0)
    attempt_count = models.PositiveIntegerField(default=0)
    attempted = models.BooleanField(default=False)
    failed_at = models.DateTimeField(null=True, blank=True, help_text="When a payment of this invoice first failed.")
    next_payment_attempt = models.DateTimeField(null=True, blank=True)
    period_start = models.DateTimeField(null=True, blank=True)
    period_end = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True, blank=True)
    finalized_at = models.DateTimeField(null=True, blank=True)
    paid_at = models.DateTimeField(null=True, blank=True)
    lines = models.JSONField(default=list)
    hosted_url = models.TextField(blank=True)
    pdf_url = models.TextField(blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["organization", "-created_at"], name="invoice_by_organization"),
            models.Index(fields=["organization", "-paid_at"], condition=Q(paid_at__isnull=False), name="invoice_paid"),
            models.Index(fields=["organization", "-created_at"], condition=Q(paid_at=None), name="invoice_unpaid"),
            models.Index(fields=["organization", "-failed_at"], condition=Q(failed_at__isnull=False), name="invoice_failed"),
            models.Index(fields=["-created_at", "-id"], name="invoice_newest_first"),
            models.Index(fields=["finalized_at"], name="invoice_by_finalization"),
        ]

    def __str__(self) -> str:
        return self.number or self.stripe_invoice_id


class Adjustment(models.Model):
    """A refund, a dispute or a credit note. `amount` is in minor units of `currency`. Visible to staff only."""

    class Kind(models.TextChoices):
        REFUND = "refund"
        DISPUTE = "dispute"
        CREDIT_NOTE = "credit_note"

    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="billing_adjustments")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    stripe_id = models.CharField(max_length=64, unique=True)
    stripe_charge_id = models.CharField(max_length=64, blank=True)
    stripe_payment_intent_id = models.CharField(max_length=64, blank=True)
    stripe_invoice_id = models.CharField(max_length=64, blank=True)
    status = models.CharField(max_length=40)
    reason = models.CharField(max_length=80, blank=True)
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["organization", "-created_at"], name="adjustment_by_organization"),
            models.Index(fields=["-created_at"], condition=Q(kind="dispute"), name="adjustment_disputes"),
            models.Index(fields=["-created_at", "-id"], name="adjustment_newest_first"),
            models.Index(fields=["stripe_charge_id"], condition=~Q(stripe_charge_id=""), name="adjustment_by_charge"),
            models.Index(fields=["stripe_payment_intent_id"], condition=~Q(stripe_payment_intent_id=""), name="adjustment_by_intent"),
            models.Index(fields=["stripe_invoice_id"], condition=~Q(stripe_invoice_id=""), name="adjustment_by_invoice"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.stripe_id}"
