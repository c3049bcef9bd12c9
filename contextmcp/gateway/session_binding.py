"""Bind each session of an upstream server to the organization that opened it. Only MCP revisions before 2026-07-28 have sessions.

The ID that a client sees is the upstream server's ID, signed for the organization. No state is kept, so any process of the gateway can
serve any session.

Source: MCP, "Security Best Practices", Session Hijacking: bind session IDs to the user.
"""

from __future__ import annotations

from uuid import UUID

from django.core.signing import BadSignature, Signer


def bind(session_id: str, server: str, organization_id: UUID) -> str:
    """Return the ID that the organization's client gets for an upstream session."""
    return _signer(server, organization_id).sign(session_id)


def unbind(bound_id: str, server: str, organization_id: UUID) -> str | None:
    """Return the upstream server's ID, or None if this organization did not open the session."""
    try:
        return _signer(server, organization_id).unsign(bound_id)
    except BadSignature:
        return None


def _signer(server: str, organization_id: UUID) -> Signer:
    return Signer(salt=f"mcp-session {server} {organization_id}")
