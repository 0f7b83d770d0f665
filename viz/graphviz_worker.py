"""Draws with the Graphviz inside the pygraphviz wheel, in a process of its own.

Not imported by the package: `viz.rendering` runs this file, because a failed assertion in
Graphviz's C code ends the whole process. It reads one JSON object on standard input,
`{"engine": "dot", "format": "svg", "graphs": ["digraph ..."]}`, and answers with one JSON string a
graph, a line each, as soon as it is drawn.
"""

import json
import sys


def main() -> None:
    """Draw what standard input asks for; Graphviz's own messages go to standard error."""
    from pygraphviz import AGraph

    job = json.load(sys.stdin)
    for dot in job["graphs"]:
        drawn = AGraph(string=dot).draw(prog=job["engine"], format=job["format"])
        print(json.dumps(drawn.decode("utf-8")), flush=True)


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # the parent process reports it with what else was tried
        sys.exit(f"{type(error).__name__}: {error}")
