"""The names of the reports' package stay what they are, whatever of it has been imported."""

from __future__ import annotations

import importlib
import pkgutil

from vmgr import report


def test_no_module_takes_the_name_of_a_function() -> None:
    """Importing a module of a package sets an attribute of the package: a function of that name would be gone."""
    modules = {module.name for module in pkgutil.iter_modules(report.__path__)}
    assert not modules & set(report.__all__)
    for name in modules:
        importlib.import_module(f"vmgr.report.{name}")
    assert all(callable(getattr(report, name)) for name in report.__all__)
