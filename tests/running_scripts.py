"""Scripts of cells at work: in node with what a body of JavaScript makes of them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tinygrad_lstm.kernels import node


def run_script(script: str, body: str, given: Any, folder: Path) -> Any:
    """What a body of JavaScript returns that knows the exports of a script, and what is given."""
    (folder / "made.js").write_text(script, encoding="utf-8")
    text = (
        'const made = require("./made.js"), given = JSON.parse(require("fs").readFileSync(0));\n'
        f"const result = (() => {{ {body} }})();\n"
        "console.log(JSON.stringify(result, (_, v) => ArrayBuffer.isView(v) ? [...v] : v));"
    )
    (folder / "run.js").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [node.node(), "run.js"],
        cwd=folder,
        input=json.dumps(given),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
