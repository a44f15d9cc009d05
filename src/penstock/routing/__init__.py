"""Which version answers: the routing table, its publication and its readers."""
