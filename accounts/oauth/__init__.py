"""The OAuth 2.1 authorization server for MCP clients that cannot be given an API key.

It is built on `allauth.idp.oidc`: its clients, their metadata documents and registration, ID tokens, and its validator for oauthlib. Grants
and tokens are models of this project (`accounts.models`), because a grant belongs to a membership. ADR-021 has the reasons.

- `views`, `urls`: the endpoints; `consent`: the page on which a user connects an app.
- `server`, `validator`: oauthlib's server with the two flows of OAuth 2.1 that are offered.
- `grants`: consent, exchange, rotation, revocation. `clients`: the OAuth clients. `scopes`: what a token
  allows. `resources`: the MCP servers that accept it.
- `token_cache`: access tokens verified in the processes that serve MCP.
"""
