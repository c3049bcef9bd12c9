"""What a visitor can do with each plan: the buttons of the plan cards on the pricing page and the billing page."""

from dataclasses import dataclass
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.translation import gettext as _

from billing.types import Subscription
from contextmcp.common.formatting import format_day
from entitlements.catalog import CATALOG

from .organization_state import OrganizationState
from .pricing import CardPrice, PlanCard


@dataclass(frozen=True)
class PlanButton:
    """A link to `url`, or a text in its place if there is nothing to do. `primary` buttons are filled."""

    text: str
    url: str = ""
    primary: bool = False


@dataclass(frozen=True)
class PlanOption:
    """A card with its buttons by interval, and a `tag` beside its title. `chosen` cards have a border."""

    card: PlanCard
    by_month: PlanButton
    by_year: PlanButton
    tag: str
    chosen: bool


@dataclass(frozen=True)
class Visitor:
    """Who looks at the cards. `state` is that of the selected organization, if there is one."""

    is_signed_in: bool
    can_pay: bool
    state: OrganizationState | None

    @property
    def subscription(self) -> Subscription | None:
        """Return the running subscription."""
        return self.state.subscription if self.state and self.state.subscription.is_live else None


def plan_options(cards: list[PlanCard], visitor: Visitor) -> list[PlanOption]:
    buttons = [(_button(card, card.by_month, visitor), _button(card, card.by_year, visitor)) for card in cards]
    return [
        PlanOption(card, monthly, yearly, _tag(card, visitor), chosen=_is_chosen(card, visitor))
        for card, (monthly, yearly) in zip(cards, buttons, strict=True)
    ]


def can_change_plan(visitor: Visitor) -> bool:
    """Return whether the visitor can buy a plan, or change the plan of the subscription now."""
    present = visitor.subscription
    return visitor.can_pay and (present is None or (present.can_change and present.collection_pause is None))


def _is_current(card: PlanCard, visitor: Visitor) -> bool:
    return visitor.state is not None and visitor.state.entitlements.plan == card.plan.name


def _is_chosen(card: PlanCard, visitor: Visitor) -> bool:
    return _is_current(card, visitor) if visitor.subscription else card.recommended


def _tag(card: PlanCard, visitor: Visitor) -> str:
    if _is_current(card, visitor):
        return _("Current plan")
    change = visitor.subscription.upcoming_change if visitor.subscription else None
    if change and change.plan == card.plan.name:
        return _("From %(date)s") % {"date": format_day(change.at)}
    return _("Recommended") if card.recommended and not visitor.subscription else ""


def _button(card: PlanCard, price: CardPrice | None, visitor: Visitor) -> PlanButton:
    if card.contact:
        return PlanButton(_("Current plan")) if _is_current(card, visitor) else PlanButton(_("Contact us"), card.contact)
    if not visitor.is_signed_in:
        return PlanButton(_("Start free"), reverse("account_signup")) if price is None else _purchase(card, price, with_trial=True)
    if visitor.state is None:
        return PlanButton(_("Create organization"), reverse("new-organization"))
    if visitor.subscription:
        return _change(card, price, visitor, visitor.subscription)
    return _first_purchase(card, price, visitor, visitor.state.subscription)


def _first_purchase(card: PlanCard, price: CardPrice | None, visitor: Visitor, present: Subscription) -> PlanButton:
    """Return the button of a card for an organization without a running subscription."""
    if _is_current(card, visitor):
        return PlanButton(_("Current plan"))
    if price is None:
        return PlanButton(_("Included"))
    if not visitor.can_pay:
        return PlanButton(_("Only owners can change plans"))
    return _purchase(card, price, with_trial=present.trial_available)


def _purchase(card: PlanCard, price: CardPrice, *, with_trial: bool) -> PlanButton:
    url = _url("choose-plan", card, price)
    if with_trial and card.plan.trial_days:
        return PlanButton(_("Start %(days)s-day trial") % {"days": card.plan.trial_days}, url, card.recommended)
    return PlanButton(_("Choose %(plan)s") % {"plan": card.plan.title}, url, card.recommended)


def _change(card: PlanCard, price: CardPrice | None, visitor: Visitor, present: Subscription) -> PlanButton:
    """Return the button of a card for an organization with a running subscription."""
    if price and (card.plan.name, price.interval) == (present.subscribed_plan, present.interval):
        return PlanButton(_("Current plan") if _is_current(card, visitor) else _("Your subscription"))
    if not visitor.can_pay:
        return PlanButton(_("Only owners can change plans"))
    if not can_change_plan(visitor):
        return PlanButton(_("Manage plan"), reverse("billing"))
    if price is None:
        return PlanButton(_("Downgrade"), reverse("cancel-plan"))
    scheduled = present.upcoming_change
    if scheduled and (scheduled.plan, scheduled.interval) == (card.plan.name, price.interval):
        return PlanButton(_("Scheduled"))
    title = change_title(present, card.plan.name, price.interval)
    return PlanButton(title, _url("preview-change", card, price), primary=_is_upgrade(present, card.plan.name))


def change_title(present: Subscription, plan: str, interval: str) -> str:
    """Return the name of a plan change, as on its button."""
    if plan == present.subscribed_plan:
        return _("Switch to yearly") if interval == "year" else _("Switch to monthly")
    return _("Upgrade") if _is_upgrade(present, plan) else _("Downgrade")


def change_heading(present: Subscription, plan: str, interval: str) -> str:
    """Return the heading of the page about a plan change."""
    title = {"plan": CATALOG.plan_title(plan)}
    if plan == present.subscribed_plan:
        return _("Switch to yearly billing") if interval == "year" else _("Switch to monthly billing")
    return _("Upgrade to %(plan)s") % title if _is_upgrade(present, plan) else _("Downgrade to %(plan)s") % title


def _is_upgrade(present: Subscription, plan: str) -> bool:
    return CATALOG.rank(plan) > CATALOG.rank(present.subscribed_plan)


def _url(name: str, card: PlanCard, price: CardPrice) -> str:
    return f"{reverse(name)}?{urlencode({'plan': card.plan.name, 'interval': price.interval})}"
