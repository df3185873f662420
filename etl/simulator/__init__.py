"""A small world of followers and the HTTP face of eSMS in front of it.

Shares no code with the client.
"""

from etl.simulator.followers import Followers
from etl.simulator.interactions import Interactions, WindowRules
from etl.simulator.server import API_KEY, DEFAULT_OAID, SECRET_KEY, Simulator

__all__ = [
    "API_KEY",
    "DEFAULT_OAID",
    "SECRET_KEY",
    "Followers",
    "Interactions",
    "Simulator",
    "WindowRules",
]
