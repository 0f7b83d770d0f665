const MACHINE = Symbol("machine"), BYTES = Numbers.BYTES_PER_ELEMENT;

// What WebAssembly lacks of math.h; in single precision it is rounded there.
const math = { erf: (x) => erf(x), erff: (x) => erf(x) };
for (const name of ["exp", "expm1", "log", "log1p", "pow", "sin", "cos"])
  math[name] = math[`${name}f`] = Math[name];

const compiled = new WebAssembly.Module(Uint8Array.from(atob(MODULE), (c) => c.charCodeAt(0)));

// A machine with memory for arrays of so many numbers, which never grows: views of it stay.
function reserve(b, counts, steps, rows) {
  const { exports } = new WebAssembly.Instance(compiled, { env: math });
  const widths = C.sums.map(([, width]) => width), total = (all) => all.reduce((n, m) => n + m, 0);
  const piece = (loop) => Math.min(steps, Math.ceil(C.pieces[loop] / rows));
  const scratch = Math.max(...["forward", "backward"].map((l) => C.scratch[l] * piece(l) * rows));
  const numbers = [...counts, scratch, total(widths) + 1], tables = 4 * C.buffers.length + C.packs.length;
  const bytes = total(numbers.map((n) => BYTES * n + 64)) + 4 * tables + steps * rows + 64 * 8;
  let at = exports.__heap_base.value;
  exports.memory.grow(Math.max(0, Math.ceil((at + bytes - exports.memory.buffer.byteLength) / 65536)));
  function space(count, Kind = Numbers) {
    at = Math.ceil(at / 64) * 64;
    const made = new Kind(exports.memory.buffer, at, count);
    at += made.byteLength;
    return made;
  }
  b[MACHINE] = {
    exports, space, forward: { piece: piece("forward") }, backward: { piece: piece("backward") },
    scratch: space(scratch), sums: space(total(widths) + 1), mask: space(steps * rows, Uint8Array),
  };
  return space;
}

// Weights in panels, and where the machine finds each buffer's first step and the one after it.
function prepare(b, steps, rows) {
  const machine = b[MACHINE], packs = machine.packs = machine.space(C.packs.length, Uint32Array);
  C.packs.forEach(([name, weight, inner, columns, down, right], k) => {
    packs[k] = b[name].byteOffset;
    machine.exports.pack(inner, columns, b[weight].byteOffset, down, right, packs[k]);
  });
  for (const loop of ["forward", "backward"]) {
    const at = machine[loop].at = machine.space(C.buffers.length, Uint32Array);
    const by = machine[loop].by = machine.space(C.buffers.length, Int32Array);
    C.buffers.forEach(([name, width], k) => {
      if (!(name in b)) return;
      at[k] = b[name].byteOffset;
      if (!width) return;
      by[k] = rows * width;
      if (loop === "backward") {
        at[k] += BYTES * (steps - 1) * by[k];
        by[k] = -by[k];
      }
    });
  }
}

function run(b, loop, steps, rows, ended) {
  const { exports, sums, mask, packs, scratch, [loop]: { piece, at, by } } = b[MACHINE];
  for (let k = 0; ended && k < steps * rows; k++)
    mask[k] = ended[loop === "forward" ? k : (steps - 1 - Math.floor(k / rows)) * rows + k % rows];
  sums.fill(0);
  exports[loop](
    exports.sizes.value, steps, rows, 0, rows, piece, at.byteOffset, by.byteOffset, packs.byteOffset,
    ended ? mask.byteOffset : 0, sums.byteOffset, sums.byteOffset + BYTES * C.totals, scratch.byteOffset);
}

const loops = {
  forward(b, steps, rows, ended) { run(b, "forward", steps, rows, ended); },
  backward(b, steps, rows, ended) {
    run(b, "backward", steps, rows, ended);
    let start = 0;
    for (const [name] of C.sums) b[name].fill(0);
    for (const [name, width] of C.sums)
      for (let j = 0; j < width; j++) b[name][j] += b[MACHINE].sums[start++];
    for (const name of Object.keys(CELL.states)) if (steps % 2) b[`carry.${name}`].set(b[`out.${name}`]);
  },
};
