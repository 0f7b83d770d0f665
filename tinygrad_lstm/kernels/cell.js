// Memory for some steps of a batch, by name. given: [name, numbers], weights among them.
function memory(steps, rows, given) {
  const b = { __proto__: null }, counts = { time: steps * rows, row: rows, carry: rows };
  const space = reserve(steps, rows);
  for (const [name, [kind, width]] of Object.entries(CELL.buffers)) {
    const before = kind === "time" && name in CELL.states ? rows * width : 0;  // the first step's
    const whole = space(width * (counts[kind] ?? 1) + before);
    b[name] = whole.subarray(before);
    if (before) b[`prev.${name}`] = whole.subarray(0, whole.length - before);
  }
  for (const [name, numbers] of given) b[name].set(numbers);
  for (const [name, weight, inner, columns, down, right] of CELL.panels)
    fillPanels(inner, columns, b[weight], 0, down, right, b[name]);
  return b;
}

const size = (shape) => shape.reduce((all, n) => all * n, 1);

const flat = (x) => ArrayBuffer.isView(x) ? x : Array.isArray(x) ? x.flatMap((y) => [...flat(y)]) : [x];

function failed(what) { throw new Error(`${CELL.name}: ${what}`); }

function numbers(what, given, count) {
  const found = given == null ? [] : flat(given);
  return found.length === count ? found : failed(`${what} has ${count} numbers, got ${found.length}.`);
}

function known(what, given, names) {
  for (const name of Object.keys(given))
    if (!names.includes(name)) failed(`no ${what} ${name}; there are: ${names.join(", ")}.`);
}

// A named equation at all steps, or its place in memory where there is one row.
function value(b, name) {
  known("equation", { [name]: 0 }, Object.keys(CELL.equations));
  const [buffer, start, shape] = CELL.equations[name], all = b[buffer], n = size(shape);
  const width = CELL.buffers[buffer][1];
  if (all.length === width) return all.subarray(start, start + n);
  return all.filter((_, k) => k % width >= start && k % width < start + n);
}

const cell = {
  ...CELL,

  // Parameters by name, in any nesting of numbers: what the other functions are called with.
  pack(parameters) {
    known("parameter", parameters, Object.keys(CELL.parameters));
    const given = { __proto__: null };
    for (const [name, shape] of Object.entries(CELL.parameters))
      given[name] = Numbers.from(numbers(name, parameters[name], size(shape)));
    return { given, packed: Object.entries(packWeights(given)) };
  },

  // Over a sequence: inputs by name, (steps, rows, …) in the order of reading; initial: the states
  // before it, zero unless given; lengths: of each row, where some end before others. Returned is
  // `value(name)`, an equation at all steps, and what backward needs.
  forward(weights, inputs, { rows = 1, initial = {}, lengths = null } = {}) {
    known("input", inputs, Object.keys(CELL.inputs));
    known("state", initial, Object.keys(CELL.states));
    const [first, shape] = Object.entries(CELL.inputs)[0];
    const steps = Math.floor(flat(inputs[first] ?? []).length / (rows * size(shape)));
    const b = memory(steps, rows, weights.packed);
    for (const [name, own] of Object.entries(CELL.inputs))
      b[`in.${name}`].set(numbers(name, inputs[name], steps * rows * size(own)));
    for (const [name, state] of Object.entries(initial))
      b[`prev.${name}`].set(numbers(name, state, rows * size(CELL.states[name])));
    const ended = lengths && Uint8Array.from(
      { length: steps * rows }, (_, k) => Math.floor(k / rows) >= lengths[k % rows]);
    loops.forward(b, steps, rows, ended);
    return { weights, b, steps, rows, ended, value: (name) => value(b, name) };
  },

  // From the derivatives of a loss in equations at all steps, of those that `seeds` lists, and in
  // the final states: those in the parameters, the inputs, and the states before the sequence.
  backward({ weights, b, steps, rows, ended }, adjoints, final = {}) {
    known("seed", adjoints, CELL.seeds);
    known("state", final, Object.keys(CELL.states));
    for (const [name, [kind]] of Object.entries(CELL.buffers)) if (kind === "total") b[name].fill(0);
    for (const name of CELL.seeds) {
      const all = b[`given.${name}`].fill(0), width = all.length / (steps * rows);
      if (name in adjoints) all.set(numbers(name, adjoints[name], all.length));
      if (ended) ended.forEach((over, k) => over && all.fill(0, k * width, (k + 1) * width));
    }
    for (const name of Object.keys(CELL.states)) {
      const all = b[`carry.${name}`].fill(0);
      if (name in final) all.set(numbers(name, final[name], all.length));
    }
    loops.backward(b, steps, rows, ended);
    const of = (names, prefix) => ({
      __proto__: null, ...Object.fromEntries(names.map((name) => [name, b[prefix + name].slice()])) });
    const inputs = of(CELL.wants, "bar.in."), initial = of(Object.keys(CELL.states), "carry.");
    return { parameters: unpackGradients(weights.given, b), inputs, initial };
  },

  // One step after another, in memory of its own: fill `inputs`, call `step()`, read `values`.
  stream(weights) {
    const b = memory(1, 1, weights.packed), inputs = { __proto__: null }, values = { __proto__: null };
    for (const name of Object.keys(CELL.inputs)) inputs[name] = b[`in.${name}`];
    for (const name of Object.keys(CELL.equations)) values[name] = value(b, name);
    const states = Object.keys(CELL.states).map((name) => [b[`prev.${name}`], b[name]]);
    return {
      inputs, values,
      step() {
        for (const [before, now] of states) for (let j = 0; j < now.length; j++) before[j] = now[j];
        loops.forward(b, 1, 1, null);
      },
      reset() { for (const [, now] of states) now.fill(0); },
    };
  },

  loops, memory,
};
