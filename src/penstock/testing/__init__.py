"""Fakes and conformance suites that the library ships."""
