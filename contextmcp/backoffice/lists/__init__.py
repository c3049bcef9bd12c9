"""What all lists of the admin offer: saved views, and exports as CSV. The lists themselves are in `contextmcp.common.admin_lists`."""
