// Memory for some steps of a batch, by name. given: [name, numbers], weights among them.
function memory(steps, rows, given) {
  const b = { __proto__: null }, counts = { time: steps * rows, row: rows, carry: rows };
  const sizes = Object.entries(CELL.buffers).map(([name, [kind, width]]) => {
    const first = kind === "time" && name in CELL.states ? rows * width : 0;  // before the first step
    return [name, first, first + width * (counts[kind] ?? 1)];
  });
  const space = reserve(b, sizes.map(([, , count]) => count), steps, rows);
  for (const [name, first, count] of sizes) {
    const whole = space(count);
    b[name] = whole.subarray(first);
    if (first) b[`prev.${name}`] = whole.subarray(0, count - first);
  }
  for (const [name, own] of Object.entries(CELL.start))
    for (let r = 0; r < rows; r++) b[`prev.${name}`].set(own, r * own.length);
  for (const [name, numbers] of given) b[name].set(numbers);
  prepare(b, steps, rows);
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

// A named equation at all steps, 0 where a row has ended; of one row its place in memory.
function value({ b, ended }, name) {
  known("equation", { [name]: 0 }, Object.keys(CELL.equations));
  const [buffer, start, shape] = CELL.equations[name], width = CELL.buffers[buffer][1], all = b[buffer];
  const end = start + size(shape);
  if (all.length === width) return all.subarray(start, end);
  const found = all.filter((_, k) => k % width >= start && k % width < end);
  return ended ? found.map((entry, k) => ended[Math.floor(k / (end - start))] ? 0 : entry) : found;
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
  // before it, where they do not begin as usual; lengths: of each row, where some end before others.
  // Returned are `value(name)`, an equation at all steps, `final(name)`, a state after the last one,
  // and what backward needs.
  forward(weights, inputs, { rows = 1, initial = {}, lengths = null } = {}) {
    known("input", inputs, Object.keys(CELL.inputs));
    known("state", initial, Object.keys(CELL.states));
    const [first, shape] = Object.entries(CELL.inputs)[0];
    const width = rows * size(shape), found = flat(inputs[first] ?? []).length, steps = found / width;
    if (!steps || !Number.isInteger(steps))
      failed(`${first} has ${size(shape)} numbers a step for each of ${rows} rows, got ${found}.`);
    const b = memory(steps, rows, weights.packed);
    for (const [name, own] of Object.entries(CELL.inputs))
      b[`in.${name}`].set(numbers(name, inputs[name], steps * rows * size(own)));
    for (const [name, state] of Object.entries(initial))
      b[`prev.${name}`].set(numbers(name, state, rows * size(CELL.states[name])));
    const ended = lengths && Uint8Array.from(
      { length: steps * rows }, (_, k) => Math.floor(k / rows) >= lengths[k % rows]);
    loops.forward(b, steps, rows, ended);
    const final = (name) => b[name].slice(-rows * size(CELL.states[name]));
    return { weights, b, steps, rows, ended, final, value: (name) => value({ b, ended }, name) };
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
    for (const name of Object.keys(CELL.equations)) values[name] = value({ b }, name);
    const states = Object.keys(CELL.states).map((name) => [b[`prev.${name}`], b[name]]);
    const first = states.map(([before]) => before.slice());
    const reset = () => states.forEach(([, now], k) => now.set(first[k]));
    reset();
    return {
      inputs, values, reset,
      step() {
        for (const [before, now] of states) for (let j = 0; j < now.length; j++) before[j] = now[j];
        loops.forward(b, 1, 1, null);
      },
    };
  },

  loops, memory,
};
