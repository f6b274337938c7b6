"""Mends of moto where its answers are not AWS's: a file a service, each with its MENDS, functions without arguments.

Each mend names what AWS's reference says. Each has a test in tests/infra/test_mends_SERVICE.py.
"""
