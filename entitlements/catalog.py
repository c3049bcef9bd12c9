"""What is sold: the catalogue as data. Change a plan by raising its `version`; what was published stays as it was."""

from .terms import Catalog, Feature, Overage, Plan, Price, Term, Value
from .types import Kind

__all__ = ["CATALOG", "Catalog", "Feature", "Overage", "Plan", "Price", "Term", "current"]

# Rates are answered from memory anyway and count nothing durable, so an unreachable database need not stop them.
FEATURES = (
    Feature("projects", Kind.LIMIT, "Projects", "Projects connected at a time", group="Workspace"),
    Feature("team_members", Kind.LIMIT, "Team members", "People in the organization", group="Workspace"),
    Feature("best_practices", Kind.LIMIT, "Best practices", "Rules your tools are given", group="Workspace"),
    Feature("context_cache_mb", Kind.LIMIT, "Context cache", "Kept warm for your tools", unit="MB", group="Workspace"),
    Feature("sessions", Kind.QUOTA, "Sessions", "Started in a month", group="Usage"),
    Feature("context_queries", Kind.RATE, "Context queries", "Asked in a minute", on_outage="allow", group="Usage"),
    Feature("session_creation", Kind.RATE, "Session starts", "Asked in a minute", on_outage="allow", group="Usage"),
    Feature("git_webhooks", Kind.RATE, "Git webhooks", "Taken in a minute", on_outage="allow", group="Usage"),
    Feature("basic_context", Kind.FLAG, "Context for your tools", "Project context over MCP"),
    Feature("local_sessions", Kind.FLAG, "Local sessions", "Sessions on your own machine"),
    Feature("team_collaboration", Kind.FLAG, "Team collaboration", "Share projects and sessions"),
    Feature("real_time_sync", Kind.FLAG, "Real-time sync", "Changes arrive as they are made"),
    Feature("session_handoff", Kind.FLAG, "Session handoff", "Pass a session to a colleague"),
    Feature("git_integration", Kind.FLAG, "Git integration", "Context follows your branches"),
    Feature("webhook_processing", Kind.FLAG, "Webhook processing", "React to pushes and reviews"),
    Feature("best_practices_mgmt", Kind.FLAG, "Best-practice management", "Edit and version your rules"),
    Feature("usage_analytics", Kind.FLAG, "Usage analytics", "Who used what, and when"),
    Feature("team_insights", Kind.FLAG, "Team insights", "How the team works together"),
    Feature("performance_metrics", Kind.FLAG, "Performance metrics", "Latency and cache figures"),
    Feature("sso_integration", Kind.FLAG, "Single sign-on", "Your identity provider"),
    Feature("custom_integrations", Kind.FLAG, "Custom integrations", "Connect your own systems"),
    Feature("priority_support", Kind.FLAG, "Priority support", "Answers within a working day"),
    Feature("white_label", Kind.FLAG, "White label", "Your name, your colours"),
)
_KINDS = {feature.name: feature.kind for feature in FEATURES}

FREE_FLAGS = "basic_context local_sessions"
PRO_FLAGS = (
    f"{FREE_FLAGS} team_collaboration real_time_sync session_handoff git_integration webhook_processing best_practices_mgmt usage_analytics"
)
ENTERPRISE_FLAGS = f"{PRO_FLAGS} team_insights performance_metrics sso_integration custom_integrations priority_support white_label"


def _terms(flags: str, overage: dict[str, Overage] | None = None, **amounts: Value) -> dict[str, Term]:
    values: dict[str, Value] = {**amounts, **dict.fromkeys(flags.split(), True)}
    return {name: Term(_KINDS[name], value, (overage or {}).get(name)) for name, value in values.items()}


CATALOG = Catalog(
    features=FEATURES,
    plans=(
        Plan(
            name="free",
            version=1,
            title="Free",
            summary="For trying things out on your own.",
            features=_terms(
                FREE_FLAGS,
                projects=1,
                team_members=1,
                best_practices=10,
                context_cache_mb=100,
                sessions=50,
                context_queries=30,
                session_creation=10,
                git_webhooks=0,
            ),
        ),
        Plan(
            name="pro",
            version=1,
            title="Pro",
            summary="For people and teams who work with it every day.",
            trial_days=14,
            prices=(Price("month", 900, "usd"), Price("year", 9000, "usd")),
            features=_terms(
                PRO_FLAGS,
                overage={"sessions": Overage(2, "usd")},
                projects=10,
                team_members=10,
                best_practices=50,
                context_cache_mb=1000,
                sessions=1000,
                context_queries=200,
                session_creation=50,
                git_webhooks=100,
            ),
        ),
        Plan(
            name="enterprise",
            version=1,
            title="Enterprise",
            summary="For organizations that want no ceiling.",
            trial_days=14,
            prices=(Price("month", 2900, "usd"), Price("year", 29000, "usd")),
            features=_terms(
                ENTERPRISE_FLAGS,
                projects=None,
                team_members=None,
                best_practices=None,
                context_cache_mb=10000,
                sessions=None,
                context_queries=1000,
                session_creation=200,
                git_webhooks=500,
            ),
        ),
    ),
)


def current(plan: str) -> Plan:
    """The plan as this release declares it, published or not; `UnknownPlan` for a name it does not have."""
    return CATALOG.plan(plan)
