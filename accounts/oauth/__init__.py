"""The OAuth 2.1 authorization server for MCP clients that cannot be given an API key.

It uses `allauth.idp.oidc` for clients, their metadata documents and registration, for ID tokens, and for the validator of oauthlib. Grants
and tokens are models of this project (`accounts.models`), because a grant belongs to a membership. ADR-021 gives the reasons.

- `views`, `urls`: the endpoints; `consent`: the page on which a user connects an app.
- `server`, `validator`: oauthlib's server, limited to the authorization code flow and refresh tokens.
- `grants`: consent, exchange, rotation, revocation. `clients`: the OAuth clients. `scopes`: what a token
  allows. `resources`: the MCP servers that accept it.
- `token_cache`: access tokens verified in the processes that serve MCP.
"""
