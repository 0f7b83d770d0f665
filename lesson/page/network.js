"use strict";
// The page's models: weights of a byte each, read by the plans that Python compiled to JavaScript.
lesson.networks = (() => {
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

  // w = scale of the row · whole number, in single precision as in Python
  const weights = (packed) => {
    const found = {};
    for (const [name, { shape, scales, data }] of Object.entries(packed)) {
      const whole = new Int8Array(bytes(data).buffer);
      const scale = new Float32Array(bytes(scales).buffer);
      const row = whole.length / scale.length;
      found[name] = Float32Array.from(whole, (q, k) => q * scale[Math.floor(k / row)]);
      found[name].width = shape[shape.length - 1];
    }
    return found;
  };

  const softmax = (z, temperature = 1) => {
    const most = z.reduce((a, b) => Math.max(a, b), -Infinity);
    const p = Float64Array.from(z, (x) => Math.exp((x - most) / temperature));
    const sum = p.reduce((a, b) => a + b, 0);
    return p.map((x) => x / sum);
  };

  class Network {
    constructor(name, described) {
      Object.assign(this, described, { name });
      this.letters = [...this.symbols];
      this.places = new Map(this.letters.map((letter, k) => [letter, k]));
      this.plan = tinygrad_lstm[this.script];
    }

    // Unpacked when it is first read.
    get parameters() {
      this.unpacked ??= weights(this.weights);
      return this.unpacked;
    }

    get embedding() {
      return this.parameters["input.E"];
    }

    get units() {
      return this.plan.equations[this.output][2][0];
    }

    // The weights of the plan; the guesses do not see units that are switched off.
    packed(off = []) {
      if (!off.length && this.whole) return this.whole;
      const own = { ...this.parameters };
      delete own["input.E"];
      if (off.length) {
        const W = (own["output.W_y"] = own["output.W_y"].slice());
        for (const unit of off) for (let k = unit; k < W.length; k += this.units) W[k] = 0;
      }
      const made = this.plan.pack(own);
      if (!off.length) this.whole = made;
      return made;
    }

    row(place) {
      const n = this.letters.length;
      if (this.input !== "embedding") return Float32Array.from({ length: n }, (_, k) => +(k === place));
      const width = this.embedding.length / n;
      return this.embedding.subarray(place * width, (place + 1) * width);
    }

    knows(letter) {
      return this.places.has(letter);
    }

    // A text from zero states: of each letter the units of every state, the guesses after it, and the
    // bits that it cost. Letters that it does not know are passed over: null. Units in `off` are held
    // at 0 in every state. What begins as the text that was read last is not read again.
    read(text, off = []) {
      const key = off.join();
      this.memories ??= {};
      const old = this.memories[key] ?? { letters: [], steps: [], stream: this.plan.stream(this.packed(off)) };
      const { stream } = old;
      this.memories = { ...(key ? { "": this.memories[""] } : this.memories), [key]: old };
      const letters = [...text];
      let same = 0;
      while (same < old.letters.length && old.letters[same] === letters[same]) same += 1;
      const steps = old.steps.slice(0, same);
      stream.reset();
      let last = steps.filter(Boolean).at(-1) ?? null;
      if (last) for (const state of this.states) stream.values[state].set(last.values[state]);
      for (const letter of letters.slice(same)) {
        if (!this.knows(letter)) {
          steps.push(null);
          continue;
        }
        const place = this.places.get(letter);
        stream.inputs.x.set(this.row(place));
        stream.step();
        const values = {};
        for (const state of this.states) {
          for (const unit of off) stream.values[state][unit] = 0;
          values[state] = stream.values[state].slice();
        }
        last = {
          letter,
          bits: last && -Math.log2(last.guess[place]),
          guess: softmax(stream.values["output.z"]),
          values,
        };
        steps.push(last);
      }
      this.memories[key] = { letters, steps, stream };
      return steps;
    }

    likeliest(guess, count) {
      const order = [...guess.keys()].sort((a, b) => guess[b] - guess[a]).slice(0, count);
      return order.map((k) => [this.letters[k], guess[k]]);
    }

    // How strongly the first guess after letter `at` hangs on each letter before: the size of the
    // derivative of its score in what was read, by the compiled backward pass.
    reach(text, at) {
      const letters = [...text].slice(0, at + 1);
      const places = letters.map((letter) => this.places.get(letter));
      const read = [...places.keys()].filter((k) => places[k] !== undefined);
      const rows = read.map((k) => this.row(places[k]));
      const width = rows[0].length;
      const x = new Float32Array(width * rows.length);
      rows.forEach((row, k) => x.set(row, k * width));
      const target = new Float32Array(rows.length);
      const run = this.plan.forward(this.packed(), { x, "output.target": target });
      const n = this.letters.length;
      const z = run.value("output.z").slice(-n);
      const seed = new Float32Array(n * rows.length);
      const best = z.indexOf(z.reduce((a, b) => Math.max(a, b), -Infinity));
      seed[seed.length - n + best] = 1;
      const back = this.plan.backward(run, { "output.z": seed }).inputs.x;
      const sizes = new Float64Array(letters.length);
      read.forEach((k, i) => {
        sizes[k] = Math.hypot(...back.subarray(i * width, (i + 1) * width));
      });
      return { guess: this.letters[best], sizes };
    }
  }

  // One of `count` letters, drawn from what a network believes; 0 always takes the likeliest.
  const draw = (z, temperature) => {
    if (temperature === 0) return z.indexOf(z.reduce((a, b) => Math.max(a, b), -Infinity));
    const p = softmax(z, temperature);
    let rest = Math.random();
    const found = p.findIndex((share) => (rest -= share) < 0);
    return found < 0 ? p.length - 1 : found;
  };

  const found = {};
  const data = document.getElementById("networks-data");
  for (const [name, described] of Object.entries(data ? JSON.parse(data.textContent) : {})) {
    if (globalThis.tinygrad_lstm?.[described.script]) found[name] = new Network(name, described);
  }
  return { all: found, weights, softmax, draw };
})();

// The one letter and unit that the whole page follows: parts set it, and hear of it.
lesson.choice = (() => {
  const now = {};
  const callbacks = [];
  return {
    get: () => ({ ...now }),
    set: (news, from = null) => {
      const changed = Object.keys(news).filter((key) => now[key] !== news[key]);
      Object.assign(now, news);
      if (changed.length) for (const callback of callbacks) callback({ ...now }, changed, from);
    },
    // Who comes later hears of what was chosen before, as soon as it is built.
    on: (callback) => {
      callbacks.push(callback);
      const chosen = Object.keys(now);
      if (chosen.length) queueMicrotask(() => callback({ ...now }, chosen, null));
    },
  };
})();
