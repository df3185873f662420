"""What the outside is told of a run: logs, metrics, pings. None of it can make a sync fail."""
