"""Alternative text: what a figure shows, in sentences made from the equations."""

from __future__ import annotations

from collections.abc import Iterable

from equations import name_unicode
from equations.wording import Said, joined
from viz.anatomy import OUTPUT, Anatomy, bare
from viz.scene import Scene


def listed(words: Iterable[str]) -> str:
    """`a, b and c`."""
    several = list(words)
    if len(several) < 2:
        return several[0] if several else Said("nothing")
    before = joined(several[:-1], "{first}, {rest}")
    return Said("{before} and {last}", before=before, last=several[-1])


def inputs(a: Anatomy) -> str:
    """x and the further inputs of a cell."""
    return listed(_input(a, name) for name in a.inputs)


def of_cell(a: Anatomy, scene: Scene) -> str:
    """What a cell's scene shows: what enters, what each equation does, what leaves."""
    nets = {wire.net for wire in scene.wires}
    classes = {name for wire in scene.wires for name in wire.classes}
    at = {shape.id: shape for shape in scene.shapes}
    body = at["body"]
    entering = [name_unicode(key) for key in a.previous if key in nets]
    given = [name for name in a.inputs if f"in-{name}" in at]
    below = [n for n in given if at[f"in-{n}"].y > body.box[3]]
    within = listed(_input(a, n) for n in given if n not in below)
    inputs = listed(_input(a, n) for n in below)
    leaving = [name_unicode(s) for s in a.states if f"to-next-{s}" in classes]
    output = name_unicode(a.cell.output)
    said: list[str] = [Said("One step of the cell {cell}.", cell=a.cell.name)]
    if entering:
        several = f"{{states}} enter{'' if len(entering) > 1 else 's'} from the left"
        below_too = ", {inputs} from below." if below else "."
        said.append(Said(several + below_too, states=listed(entering), inputs=inputs))
    elif below:
        said.append(Said("From below: {inputs}.", inputs=inputs))
    if len(below) < len(given):
        said.append(Said("Given inside: {inputs}.", inputs=within))
    merged = {wire.head for wire in scene.wires if wire.net.startswith("bus:")}
    said += [Said("{equation}.", equation=_equation(a, name, merged)) for name in a.alias]
    for state in a.states:
        line = [w.points for w in scene.wires if f"belt-{state}" in w.classes]
        if line and len({y for points in line for _, y in points}) == 1:
            said.append(
                Said("{state} runs straight along a belt on top.", state=name_unicode(state))
            )
    side = f"{{states}} leave{'' if len(leaving) > 1 else 's'} to the right; "
    if at[f"out-{OUTPUT}"].y > body.box[1]:
        place = "the output is {first}."
    elif a.cell.output in a.states:
        place = "{first} is also the output above."
    else:
        place = "the output above is {first}."
    said.append(Said(side + place, states=listed(leaving), first=output))
    return joined(said)


def _input(a: Anatomy, key: str) -> str:
    return name_unicode(key, a.time(key))


def _equation(a: Anatomy, name: str, merged: set[str]) -> str:
    key = a.alias[name]
    left = a.name(name).text
    if a.results.get(bare(a.program.written[name])) == name:
        return Said("{left} = {right}", left=left, right=a.expression(a.parts[key], name).text)
    if key not in a.parts or name != a.parts[key].names[0]:
        return Said("{left} is {right}", left=left, right=a.value(key).text)
    part = a.parts[key]
    if part.merges and part.node.op != "part":
        layer = Said("a {name} layer", name=part.sign.text)
        verb = "pass" if len(part.inputs) > 1 else "passes"
        if len(part.inputs) > 1 and f"part-{key}" in merged:
            verb = "merge and pass"
        return Said(
            f"{{inputs}} {verb} through {{layer}} with {{weights}}, which gives {{value}}",
            inputs=listed(a.operands(part)),
            layer=Said("a linear layer") if part.linear else layer,
            weights=listed(name_unicode(w, None) for w in part.weights),
            value=left,
        )
    return Said("{left} = {right}", left=left, right=a.expression(part).text)
