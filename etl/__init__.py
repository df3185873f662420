"""Keeps the followers of Zalo Official Accounts (OAs) in a database, and can be believed."""
