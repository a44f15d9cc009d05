"""Routing: which version answers a request, by the table that executors follow."""

from penstock.routing.bucket import bucket
from penstock.routing.table import Caller, Route, RoutingTable

__all__ = ["Caller", "Route", "RoutingTable", "bucket"]
