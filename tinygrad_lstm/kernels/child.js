// Runs the scripts of cells for another process: a message is four bytes, the length of a head, the
// head as JSON, and what it says that follows. Ends when there are no more.
const fs = require("fs"), cells = [];

function read(count) {
  const all = Buffer.alloc(count);
  for (let done = 0, n; done < count; done += n)
    if (!(n = fs.readSync(0, all, done, count - done, null))) process.exit(0);
  return all;
}

function write(bytes) {
  for (let done = 0; done < bytes.length;) done += fs.writeSync(1, bytes, done, bytes.length - done);
}

function answer(head, parts = []) {
  const text = Buffer.from(JSON.stringify(head)), length = Buffer.alloc(4);
  length.writeUInt32LE(text.length);
  for (const part of [length, text, ...parts]) write(part);
}

const bytes = (array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

function load(text) {
  const script = { exports: {} };
  new Function("module", text)(script);
  cells.push(Object.values(script.exports)[0]);
  answer({});
}

// given, wanted: names, and of what is given lengths in bytes; ended: how many bytes, or none; size:
// bytes of a number.
function run({ cell, loop, steps, rows, given, ended, wanted, size }) {
  const Numbers = size === 4 ? Float32Array : Float64Array;
  const parts = given.map(([name, length]) => [name, new Numbers(read(length).buffer)]);
  const over = ended ? read(ended) : null, { memory, loops } = cells[cell], b = memory(steps, rows, parts);
  loops[loop](b, steps, rows, over);
  answer({}, wanted.map((name) => bytes(b[name])));
}

for (;;) {
  const { script, ...call } = JSON.parse(read(read(4).readUInt32LE()));
  try {
    if (script) load(read(script).toString());
    else run(call);
  } catch (error) {
    answer({ error: String(error) });
  }
}
