"""Publishing of plans, for use by billing."""

from .services.publish import PublishChange, plan_publish, publish

__all__ = ["PublishChange", "plan_publish", "publish"]
