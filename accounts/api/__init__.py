"""The HTTP API of identity: API keys, members and invitations."""
