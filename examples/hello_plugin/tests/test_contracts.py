"""What every plugin must keep to."""

from pathlib import Path

from hello_plugin import RoundOffPlugin

from core.testkit.contracts import contract_tests

test_contracts = contract_tests(RoundOffPlugin, tests=Path(__file__).parent)
