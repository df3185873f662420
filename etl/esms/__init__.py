"""The eSMS API: one call, one value."""
