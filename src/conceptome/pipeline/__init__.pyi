from .config import RunConfig as RunConfig
from .config import build_config as build_config
from .config import field_documentation as field_documentation
from .folder import RunFolder as RunFolder
from .overview import describe_run as describe_run
from .report import ReportContents as ReportContents
from .report import write_report as write_report
from .runner import run as run
