"""Everything that knows SQL: tables, connections, staging, the lease and the snapshots."""
