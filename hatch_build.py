"""Called by hatchling when a wheel is built.

Makes the manual page, which pip puts to share/man/man1/etl.1.

The page is made from the commands, so the build needs what they need; pyproject.toml says so.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.builders.wheel import WheelBuilderConfig


class ManualPage(BuildHookInterface[WheelBuilderConfig]):
    """Puts etl(1) into the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Make the page before the wheel is built."""
        sys.path.insert(0, self.root)
        sys.dont_write_bytecode = True  # leave the checkout as it is
        from etl.cli.man import page  # noqa: PLC0415 - only here the checkout can be imported

        self._made = TemporaryDirectory()
        file = Path(self._made.name) / "etl.1"
        file.write_text(page(self.metadata.version), encoding="utf-8")
        build_data["shared_data"][str(file)] = "share/man/man1/etl.1"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - as above
        """Take the file away that is in the wheel now."""
        self._made.cleanup()
