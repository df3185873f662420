"""Several hosts sync several eSMS accounts: jobs in PostgreSQL, on procrastinate (extra `fleet`).

No scheduler, queue or lock of ours.
"""
