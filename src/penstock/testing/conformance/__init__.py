"""What every runtime adapter must pass: subclass `RuntimeConformance` and name the adapter."""

from penstock.testing.conformance.suite import RuntimeConformance

__all__ = ["RuntimeConformance"]
