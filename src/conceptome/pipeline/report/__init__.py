"""The report of a run: one HTML file that a biologist can read without a network or a server."""

from conceptome.pipeline.report.contents import ReportContents
from conceptome.pipeline.report.writing import write_report

__all__ = ["ReportContents", "write_report"]
