"""Default date formats, for pages that do not set one, such as the admin (`FORMAT_MODULE_PATH`)."""
