"""The page's drawing is that of the hub which the stack makes."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from flipctl.hub.drawing import draw

pytestmark = pytest.mark.timeout(1800)  # it may be the first that waits for an apply
PAGE = Path(__file__).resolve().parents[2] / "docs/hub-aws-deploy.md"
RECORD = "FLIP_RECORD=1 .venv/bin/pytest tests/infra/test_hub_drawing.py"
DRAWING = re.compile(r"(<!-- drawing: .*? -->\n).*?(<!-- /drawing -->)", re.DOTALL)


def test_the_page_shows_the_hub_that_is_made(shown: dict[str, Any]) -> None:
    drawing = f"```mermaid\n{draw(shown['values'])}```\n"
    page = PAGE.read_text()
    if os.environ.get("FLIP_RECORD"):
        page = DRAWING.sub(lambda match: match[1] + drawing + match[2], page)
        PAGE.write_text(page)
    assert drawing in page, f"if that is meant, write it anew: {RECORD}"
    world = re.findall(r"^  world -->.*$", drawing, re.MULTILINE)
    assert len(world) == 2  # the firewall before CloudFront, and the net's load balancer
