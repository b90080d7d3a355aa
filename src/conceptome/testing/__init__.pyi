from .dictionaries import check_dictionary
from .encoders import check_encoder
from .report import ContractError, ContractReport

__all__ = ["ContractError", "ContractReport", "check_dictionary", "check_encoder"]
