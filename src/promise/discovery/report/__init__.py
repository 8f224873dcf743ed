"""The report of a discovery: one page that a person reads and trusts."""

from promise.discovery.report.page import render

__all__ = ["render"]
