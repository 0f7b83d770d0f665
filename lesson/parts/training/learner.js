"use strict";
// A network that learns, apart from the page: in a worker the compiled step computes loss and
// gradients, Adam moves the weights, and what there is to see is told now and then.
class Learner {
  constructor(plan, about, settings, text) {
    Object.assign(this, { plan, settings, width: about.width, steps: 0, carried: {} });
    const streams = settings.streams.map((state) => uniform(...state));
    this.p = Object.fromEntries(Object.entries(about.start).map(([name, one]) => [name, begun(one, streams)]));
    this.m = this.like(this.p);
    this.v = this.like(this.p);
    this.further = Object.entries(about.further).filter(([name]) => name in plan.inputs);
    this.fixed = Object.fromEntries(Object.entries(about.further).filter(([name]) => name in plan.parameters));
    this.read(text);
  }

  like(arrays) {
    return Object.fromEntries(Object.entries(arrays).map(([name, { length }]) => [name, new Float64Array(length)]));
  }

  // Symbols in the order of Unicode, as Python sorts them; of too many those that come first.
  read(text) {
    const { symbols, length, batch, held } = this.settings;
    const all = [...new Set(text)].sort((a, b) => a.codePointAt(0) - b.codePointAt(0));
    this.symbols = all.slice(0, symbols);
    this.left = all.slice(symbols);
    const places = new Map(this.symbols.map((letter, k) => [letter, k]));
    const ids = [...text].map((letter) => places.get(letter)).filter((k) => k !== undefined);
    const apart = ids.length < held.least ? 0 : Math.floor(ids.length / held.share);
    this.ids = ids.slice(0, ids.length - apart);
    this.held = ids.slice(ids.length - apart);
    this.rows = Math.max(1, Math.min(batch, Math.floor((this.ids.length - 1) / length)));
    this.stride = Math.floor((this.ids.length - 1) / this.rows);
    this.chunks = Math.max(1, Math.floor(this.stride / length));
  }

  get long() {
    return this.ids.length > this.settings.length;
  }

  packed() {
    const { "input.E": _, ...own } = this.p;
    return this.plan.pack({ ...own, ...this.fixed });
  }

  // The row of the embedding for a letter.
  letter(k) {
    return this.p["input.E"].subarray(k * this.width, (k + 1) * this.width);
  }

  // A further input at all steps of all rows: its values repeat with the batches.
  sequences(rows) {
    return this.further.map(([name, values]) => {
      const width = values.length / this.settings.length;
      const found = new Float64Array(values.length * rows);
      for (let k = 0; k < this.settings.length * rows; k += 1) {
        const t = Math.floor(k / rows);
        found.set(values.slice(t * width, (t + 1) * width), k * width);
      }
      return [name, found];
    });
  }

  // One step: read a batch, go back, clip, move. Returns the bits a letter of the batch.
  step(rate) {
    const { length } = this.settings;
    const { rows, width } = this;
    const place = this.steps % this.chunks;
    const count = length * rows;
    const x = new Float64Array(count * width);
    const target = new Float64Array(count);
    const reads = new Int32Array(count);
    for (let t = 0, k = 0; t < length; t += 1) {
      for (let r = 0; r < rows; r += 1, k += 1) {
        const at = r * this.stride + place * length + t;
        reads[k] = this.ids[at];
        target[k] = this.ids[at + 1];
        x.set(this.letter(reads[k]), k * width);
      }
    }
    this.tiled ??= this.sequences(rows);
    const inputs = { x, "output.target": target, ...Object.fromEntries(this.tiled) };
    const run = this.plan.forward(this.packed(), inputs, { rows, initial: place ? this.carried : {} });
    const loss = run.value("output.L").reduce((sum, cost) => sum + cost, 0) / count;
    this.carried = Object.fromEntries(Object.keys(this.plan.states).map((name) => [name, run.final(name)]));
    const back = this.plan.backward(run, { "output.L": new Float64Array(count).fill(1 / count) });
    const E = new Float64Array(this.p["input.E"].length);
    for (let k = 0; k < count; k += 1) {
      for (let j = 0; j < width; j += 1) E[reads[k] * width + j] += back.inputs.x[k * width + j];
    }
    this.move({ ...back.parameters, "input.E": E }, rate);
    this.steps += 1;
    return loss / Math.LN2;
  }

  // Adam with the gradient's norm clipped, as `learning.Adam` has it, at a rate that falls.
  move(gradients, rate) {
    const own = Object.keys(this.p);
    let norm = 0;
    for (const name of own) for (const entry of gradients[name]) norm += entry * entry;
    norm = Math.sqrt(norm);
    if (!Number.isFinite(norm)) throw new RangeError("diverged");
    const factor = norm > this.settings.clip ? this.settings.clip / norm : 1;
    const n = this.steps + 1;
    const pace = rate / Math.sqrt(1 + this.steps / this.settings.slower) / (1 - 0.9 ** n);
    const share = 1 - 0.999 ** n;
    for (const name of own) {
      const [p, m, v, g] = [this.p[name], this.m[name], this.v[name], gradients[name]];
      for (let k = 0; k < p.length; k += 1) {
        const slope = factor * g[k];
        m[k] = 0.9 * m[k] + 0.1 * slope;
        v[k] = 0.999 * v[k] + 0.001 * slope * slope;
        p[k] -= (pace * m[k]) / (Math.sqrt(v[k] / share) + 1e-8);
      }
    }
  }

  // Letter after letter from the first states: what `each` is given, the values after a letter,
  // decides which comes next; it ends where that is undefined.
  follow(first, each) {
    const stream = this.plan.stream(this.packed());
    for (let place = first, t = 0; place !== undefined; t += 1) {
      stream.inputs.x.set(this.letter(place));
      for (const [name, values] of this.further) {
        const width = values.length / this.settings.length;
        const row = t % this.settings.length;
        stream.inputs[name].set(values.slice(row * width, (row + 1) * width));
      }
      stream.step();
      place = each(stream.values, t);
    }
  }

  // What it writes now: letters drawn from its guesses, by Gumbel's noise on their scores.
  write(count, temperature) {
    let written = "";
    this.follow(this.ids[0], ({ "output.z": z }, t) => {
      const drawn = z.slice(0, this.symbols.length).map((s) => s / temperature - Math.log(-Math.log(Math.random())));
      const place = drawn.indexOf(Math.max(...drawn));
      written += this.symbols[place];
      return t + 1 < count ? place : undefined;
    });
    return written;
  }

  // An equation's units along the beginning of its text.
  look(equation, count) {
    const rows = [];
    this.follow(this.ids[0], (values, t) => {
      rows.push([...values[equation]]);
      return t + 1 < count ? this.ids[t + 1] : undefined;
    });
    return rows;
  }

  // The bits a letter of what it does not learn from.
  unseen() {
    let cost = 0;
    this.follow(this.held[0], ({ "output.z": z }, t) => {
      const next = this.held[t + 1];
      const most = Math.max(...z);
      cost += most - z[next] + Math.log(z.reduce((sum, s) => sum + Math.exp(s - most), 0));
      return t + 2 < this.held.length ? next : undefined;
    });
    return cost / (this.held.length - 1) / Math.LN2;
  }
}

// NumPy's PCG64 from a state: a function that gives the first numbers, uniform within ±1.
function uniform(state, increment) {
  const drawn = [];
  let s = BigInt(state);
  const word = (n) => BigInt.asUintN(64, n);
  return (count) => {
    while (drawn.length < count) {
      s = BigInt.asUintN(128, s * 0x2360ed051fc65da44385df649fccf645n + BigInt(increment));
      const x = word((s >> 64n) ^ s), turn = s >> 122n;
      drawn.push((2 * Number(word((x >> turn) | (x << (64n - turn))) >> 11n)) / 2 ** 53 - 1);
    }
    return drawn;
  };
}

// A parameter before the first step, as `packed` in plans.py tells of it.
function begun({ shape, stream, at, bound, all, numbers }, streams) {
  const count = shape.reduce((product, n) => product * n, 1);
  if (numbers) return Float64Array.from(numbers);
  if (bound === undefined) return new Float64Array(count).fill(all);
  return Float64Array.from(streams[stream](at + count).slice(at, at + count), (u) => bound * u);
}
