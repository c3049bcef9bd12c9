"""Read a plan catalog from a TOML file. docs/catalog.md describes the format."""

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from django.core.exceptions import ImproperlyConfigured

from .catalog_schema import (
    Catalog,
    Feature,
    FeatureValue,
    Interval,
    Overage,
    Plan,
    Price,
    Question,
    catalog_faults,
    translation_faults,
)
from .types import FailureMode, Kind

# The maximum length is that of the columns that store names. Names also occur in URLs, metrics and the payment provider's lookup keys.
FeatureName = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
PlanName = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class LimitEntry(msgspec.Struct, forbid_unknown_fields=True):
    """A limit with the price of a unit beyond it, in minor units."""

    limit: Annotated[int, msgspec.Meta(ge=0)]
    overage_unit_amount: Count


class PriceEntry(msgspec.Struct, forbid_unknown_fields=True):
    interval: Interval
    amount: Count
    price_id_variable: Annotated[str, msgspec.Meta(pattern=r"^STRIPE_[A-Z0-9_]+_PRICE_ID$")] = ""


class PlanEntry(msgspec.Struct, forbid_unknown_fields=True):
    name: PlanName
    version: Count
    title: Text
    summary: str = ""
    recommended: bool = False
    contact: Annotated[str, msgspec.Meta(pattern=r"^(https://|mailto:).")] = ""
    trial_days: Annotated[int, msgspec.Meta(ge=0)] = 0
    prices: list[Any] = []
    features: dict[str, Any] = {}


class FeatureEntry(msgspec.Struct, forbid_unknown_fields=True):
    name: FeatureName
    kind: Kind
    title: Text
    summary: str = ""
    unit: str = ""
    failure_mode: FailureMode = "fail_closed"
    group: Text = "Included"
    singular: str = ""
    plural: str = ""
    highlight: Count | None = None
    home: Count | None = None
    derived_from: Literal["members"] | None = None
    question: str = ""
    answer: str = ""


class QuestionEntry(msgspec.Struct, forbid_unknown_fields=True):
    question: Text
    answer: Text


class CatalogEntry(msgspec.Struct, forbid_unknown_fields=True):
    currency: Annotated[str, msgspec.Meta(pattern=r"^[a-z]{3}$")]
    features: list[Any]
    plans: list[Any]
    questions: list[Any] = []
    translations: dict[Annotated[str, msgspec.Meta(pattern=r"^[a-z]{2}$")], dict[str, str]] = {}


Entry = TypeVar("Entry", bound=msgspec.Struct)
Part = TypeVar("Part", list[Any], dict[str, Any])


def read_catalog(path: Path) -> Catalog:
    """Return the catalog in the file. Raises `ImproperlyConfigured` with one sentence for every fault."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ImproperlyConfigured(f'CATALOG_FILE is "{path}", which cannot be read: {error.strerror}.') from error
    except UnicodeDecodeError as error:
        raise ImproperlyConfigured(f'CATALOG_FILE is "{path}", which is not UTF-8.') from error
    except tomllib.TOMLDecodeError as error:
        raise ImproperlyConfigured(f'CATALOG_FILE is "{path}", which is not TOML: {error}.') from error
    reader = _Reader()
    catalog = reader.catalog(document)
    if catalog is None:
        faults = "\n".join(f"- {fault}" for fault in reader.faults)
        raise ImproperlyConfigured(f'CATALOG_FILE is "{path}", which is not a valid catalog:\n{faults}')
    return catalog


class _Reader:
    """Reads one document. It continues after a fault, so that `faults` contains all of them."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.kinds: dict[str, Kind] = {}
        self.unread: set[str] = set()

    def catalog(self, document: dict[str, Any]) -> Catalog | None:
        file = self._entry(document, CatalogEntry, "The file")
        if file is None:
            return None
        features = list(self._features(file))
        self.kinds = {feature.name: feature.kind for feature in features}
        entries = [self._entry(each, PlanEntry, _subject("plan", each, place)) for place, each in enumerate(file.plans, 1)]
        whole, plans, variables, values = True, [], dict[tuple[str, str], str](), dict[str, FeatureValue]()
        for place, (entry, raw) in enumerate(zip(entries, file.plans, strict=True), 1):
            subject = _subject("plan", raw, place)
            prices = list(self._prices(raw, subject))
            # A plan has the values of the previous plan unless it overrides them.
            values = values | dict(self._values(raw, subject, file.currency))
            if entry is None or len(prices) < len(entry.prices):
                whole = False
                continue
            sold = tuple(Price(price.interval, price.amount, file.currency) for price in prices)
            plans.append(Plan(entry.name, entry.version, entry.title, entry.summary, entry.trial_days, sold, values))
            variables |= {(entry.name, price.interval): price.price_id_variable for price in prices if price.price_id_variable}
        known = [entry for entry in entries if entry]
        recommended = [entry.name for entry in known if entry.recommended]
        contacts = {entry.name: entry.contact for entry in known if entry.contact}
        questions = [self._entry(each, QuestionEntry, f"Question {place}") for place, each in enumerate(file.questions, 1)]
        self._check_presentation(recommended, variables)
        shown = tuple(Question(entry.question, entry.answer) for entry in questions if entry)
        self.faults += catalog_faults(features, plans, contacts, unread=self.unread, whole=whole)
        if whole and not self.unread:
            self.faults += sorted(translation_faults(file.translations, features, plans, shown))
        if self.faults:
            return None
        return Catalog(tuple(features), tuple(plans), "".join(recommended), variables, contacts, shown, file.translations)

    def _features(self, file: CatalogEntry) -> Iterator[Feature]:
        for place, each in enumerate(file.features, 1):
            entry = self._entry(each, FeatureEntry, _subject("feature", each, place))
            if entry:
                yield Feature(**msgspec.structs.asdict(entry), translations=file.translations)
            elif isinstance(each, dict):
                self.unread.add(str(each.get("name")))

    def _prices(self, plan: Any, subject: str) -> Iterator[PriceEntry]:
        for place, each in enumerate(_part(plan, "prices", list), 1):
            price = self._entry(each, PriceEntry, f"{subject}: price {place}")
            if price:
                yield price

    def _values(self, plan: Any, subject: str, currency: str) -> Iterator[tuple[str, FeatureValue]]:
        for name, each in _part(plan, "features", dict).items():
            kind = self.kinds.get(name)
            if kind is None:
                if name not in self.unread:
                    self.faults.append(f'{subject} names "{name}", which is not a feature of the catalog.')
                continue
            try:
                value = msgspec.convert(each, bool | int | Literal["unlimited"] | LimitEntry)
            except msgspec.ValidationError:
                self.faults.append(
                    f'{subject}: "{name}" must be true or false, a number, "unlimited", or a number with overage, such as '
                    "{ limit = 100, overage_unit_amount = 5 }."
                )
                continue
            if isinstance(value, LimitEntry):
                yield name, FeatureValue(kind, value.limit, Overage(value.overage_unit_amount, currency))
            else:
                yield name, FeatureValue(kind, None if value == "unlimited" else value)

    def _check_presentation(self, recommended: list[str], variables: Mapping[tuple[str, str], str]) -> None:
        if len(recommended) > 1:
            self.faults.append(f"Only one plan can be recommended, but {', '.join(recommended)} are.")
        for variable, count in Counter(variables.values()).items():
            if count > 1:
                self.faults.append(f"{variable} is the price_id_variable of more than one price: use a different variable for each price.")

    def _entry(self, entry: Any, kind: type[Entry], subject: str) -> Entry | None:
        """Return the entry as a struct. If a field is missing, unknown or of the wrong type, add this to `faults` and return None."""
        if not isinstance(entry, dict):
            self.faults.append(f"{subject} must be a table.")
            return None
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        faults = [f'{subject} has "{name}", which is not one of {", ".join(sorted(fields))}.' for name in entry if name not in fields]
        for name, field in fields.items():
            if name not in entry:
                if field.required:
                    faults.append(f'{subject} needs "{name}".')
                continue
            try:
                msgspec.convert(entry[name], field.type)
            except msgspec.ValidationError as error:
                faults.append(f'{subject}: "{name}" is {entry[name]!r}: {str(error).lower()}.')
        self.faults += faults
        return None if faults else msgspec.convert(entry, kind)


def _subject(noun: str, entry: Any, place: int) -> str:
    name = entry.get("name") if isinstance(entry, dict) else None
    return f'The {noun} "{name}"' if name else f"The {noun} at place {place}"


def _part(entry: Any, name: str, kind: type[Part]) -> Part:
    """Return a list or table of an entry, or an empty one if it is missing or of another type, which `_entry` reports."""
    part = entry.get(name) if isinstance(entry, dict) else None
    return part if isinstance(part, kind) else kind()
