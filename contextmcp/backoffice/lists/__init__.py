"""The features of all admin lists: saved views and CSV export. The lists themselves are in `contextmcp.common.admin_lists`."""
