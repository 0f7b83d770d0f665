"use strict";
// A small network learns in the page, a few milliseconds at a time: the compiled plan computes loss
// and gradients, Adam moves the weights.
lesson.Learner = class {
  constructor(about, settings, text) {
    this.plan = tinygrad_lstm[about.script];
    this.states = about.states;
    this.settings = settings;
    this.p = lesson.networks.weights(about.weights);
    this.m = {};
    this.v = {};
    for (const [name, { length }] of Object.entries(this.p)) {
      this.m[name] = new Float32Array(length);
      this.v[name] = new Float32Array(length);
    }
    // Symbols in the order of Unicode, as Python sorts them; of too many those that come first.
    const all = [...new Set(text)].sort((a, b) => a.codePointAt(0) - b.codePointAt(0));
    this.symbols = all.slice(0, settings.symbols);
    this.left = all.slice(settings.symbols);
    const places = new Map(this.symbols.map((letter, k) => [letter, k]));
    this.ids = [...text].map((letter) => places.get(letter)).filter((k) => k !== undefined);
    this.rows = Math.max(1, Math.min(settings.batch, Math.floor((this.ids.length - 1) / settings.length)));
    this.chunks = Math.max(1, Math.floor(Math.floor((this.ids.length - 1) / this.rows) / settings.length));
    this.steps = 0;
    this.carried = {};
  }

  get long() {
    return this.ids.length > this.settings.length;
  }

  own() {
    const { "input.E": _, ...rest } = this.p;
    return rest;
  }

  // One step: read a batch, go back, clip, move. Returns the bits a letter of the batch.
  step(rate) {
    const { length, inputs: width, clip } = this.settings;
    const { rows } = this;
    const place = this.steps % this.chunks;
    const stride = Math.floor((this.ids.length - 1) / rows);
    const count = length * rows;
    const x = new Float32Array(count * width);
    const reads = new Int32Array(count);
    const target = new Float32Array(count);
    for (let t = 0, k = 0; t < length; t += 1) {
      for (let r = 0; r < rows; r += 1, k += 1) {
        const at = r * stride + place * length + t;
        reads[k] = this.ids[at];
        target[k] = this.ids[at + 1];
        x.set(this.p["input.E"].subarray(reads[k] * width, (reads[k] + 1) * width), k * width);
      }
    }
    const initial = place ? this.carried : {};
    const run = this.plan.forward(this.plan.pack(this.own()), { x, "output.target": target }, { rows, initial });
    const loss = run.value("output.L").reduce((sum, cost) => sum + cost, 0) / count;
    this.carried = Object.fromEntries(this.states.map((name) => [name, run.final(name)]));
    const back = this.plan.backward(run, { "output.L": new Float32Array(count).fill(1 / count) });
    const E = new Float32Array(this.p["input.E"].length);
    for (let k = 0; k < count; k += 1) {
      for (let j = 0; j < width; j += 1) E[reads[k] * width + j] += back.inputs.x[k * width + j];
    }
    this.move({ ...back.parameters, "input.E": E }, rate, clip);
    this.steps += 1;
    return loss / Math.LN2;
  }

  // Adam with the gradient's norm clipped, as `learning.Adam` has it.
  move(gradients, rate, clip) {
    let norm = 0;
    for (const g of Object.values(gradients)) for (const entry of g) norm += entry * entry;
    norm = Math.sqrt(norm);
    if (!Number.isFinite(norm)) throw new RangeError("diverged");
    const factor = norm > clip ? clip / norm : 1;
    const n = this.steps + 1;
    const pace = rate / (1 - 0.9 ** n);
    const share = 1 - 0.999 ** n;
    for (const [name, g] of Object.entries(gradients)) {
      const p = this.p[name];
      const m = this.m[name];
      const v = this.v[name];
      for (let k = 0; k < p.length; k += 1) {
        const slope = factor * g[k];
        m[k] = 0.9 * m[k] + 0.1 * slope;
        v[k] = 0.999 * v[k] + 0.001 * slope * slope;
        p[k] -= (pace * m[k]) / (Math.sqrt(v[k] / share) + 1e-8);
      }
    }
  }

  // What it writes now, and an equation's units along the beginning of its text.
  write(count, temperature) {
    const stream = this.plan.stream(this.plan.pack(this.own()));
    const width = this.settings.inputs;
    let place = this.ids[0];
    let written = "";
    for (let k = 0; k < count; k += 1) {
      stream.inputs.x.set(this.p["input.E"].subarray(place * width, (place + 1) * width));
      stream.step();
      const z = stream.values["output.z"].slice(0, this.symbols.length);
      place = lesson.networks.draw(z, temperature);
      written += this.symbols[place];
    }
    return written;
  }

  look(equation, count) {
    const stream = this.plan.stream(this.plan.pack(this.own()));
    const width = this.settings.inputs;
    return this.ids.slice(0, count).map((place) => {
      stream.inputs.x.set(this.p["input.E"].subarray(place * width, (place + 1) * width));
      stream.step();
      return stream.values[equation].slice();
    });
  }
};

(() => {
  const HEIGHT = 260, LEFT = 48, BOTTOM = 40, SLICE = 12, LOOK = 72;
  const say = (key, facts) => lesson.text("training", `page.${key}`, facts);
  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const svg = (tag, attributes = {}, ...children) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };

  const build = (part) => {
    const data = JSON.parse(document.getElementById("training-data").textContent);
    const offered = Object.keys(data.cells).filter((name) => globalThis.tinygrad_lstm?.[data.cells[name].script]);
    if (!offered.length) return;
    const area = part.querySelector("textarea");
    const given = area.value;
    const said = part.querySelector(".said");
    const hands = part.querySelector(".hands");
    const views = part.querySelector(".loss .scroll");
    const now = { learner: null, timer: 0, curve: [], recent: [], rate: data.rate, changed: false, note: "" };

    const control = (key, element) =>
      make("label", {}, make("span", { "data-text": key }), element);
    const go = make("button", { type: "button" });
    const anew = make("button", { type: "button", "data-text": "anew" });
    const cell = make("select", {}, ...offered.map((name) => make("option", { value: name }, data.cells[name].title)));
    const rate = make("select", {}, ...[0.001, 0.003, 0.01, 0.03, 0.1, 0.3].map((r) => make("option", { value: r }, r)));
    rate.value = data.rate;
    hands.append(go, anew, control("cell", cell), control("rate", rate));
    const written = make("pre", { tabindex: 0 });
    const equation = make("select");
    const gates = make("canvas", { class: "gates", role: "img" });
    const more = part.querySelector(".more");
    more.append(
      make("h4", { "data-text": "writes" }), written,
      make("h4", { "data-text": "inside" }), make("div", { class: "hands" }, control("equation", equation)), gates
    );

    const chart = svg("svg", { class: "chart", role: "img", "aria-labelledby": "training-caption" });
    const draw = () => {
      const most = Math.max(300, now.learner?.steps ?? 0);
      const WIDTH = Math.max(280, views.clientWidth);
      chart.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
      const x = (step) => LEFT + (step / most) * (WIDTH - LEFT - 12);
      const y = (bits) => HEIGHT - BOTTOM - (Math.min(7, bits) / 7) * (HEIGHT - BOTTOM - 8);
      const line = (points, style) =>
        svg("polyline", { class: `curve ${style}`, points: points.map(([s, b]) => `${x(s).toFixed(1)},${y(b).toFixed(1)}`).join(" ") });
      const parts = [];
      for (let bits = 0; bits <= 7; bits += 1) {
        parts.push(svg("line", { class: "grid", x1: LEFT, x2: WIDTH - 12, y1: y(bits), y2: y(bits) }));
        parts.push(svg("text", { x: LEFT - 8, y: y(bits) + 4, "text-anchor": "end" }, String(bits)));
      }
      const power = 10 ** Math.floor(Math.log10(most));
      const step = most < 2 * power ? power / 5 : most < 5 * power ? power : 2 * power;
      for (let s = 0; s <= most; s += step) {
        parts.push(svg("text", { x: x(s), y: HEIGHT - BOTTOM + 18, "text-anchor": "middle" }, String(s)));
      }
      parts.push(svg("text", { class: "axis", x: (LEFT + WIDTH) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, say("axes")));
      const same = cell.value === data.first && !now.changed && area.value === given;
      if (same) parts.push(line(data.reference, "c1"));
      if (now.curve.length) parts.push(line(now.curve, "c0"));
      chart.replaceChildren(...parts);
    };

    const look = () => {
      const rows = now.learner.look(equation.value, LOOK);
      const units = rows[0].length;
      const style = getComputedStyle(part);
      const most = rows.reduce((all, row) => row.reduce((a, b) => Math.max(a, Math.abs(b)), all), 0) || 1;
      const gate = rows.every((row) => row.every((v) => v >= 0 && v <= 1));
      gates.width = rows.length;
      gates.height = units;
      const pen = gates.getContext("2d");
      rows.forEach((row, t) => {
        row.forEach((v, u) => {
          pen.globalAlpha = Math.min(1, Math.abs(v) / (gate ? 1 : most));
          pen.fillStyle = style.getPropertyValue(v < 0 ? "--rnn" : "--lstm");
          pen.fillRect(t, u, 1, 1);
        });
      });
    };

    const tell = () => {
      const { learner, curve } = now;
      go.textContent = say(now.timer ? "stop" : learner?.steps ? "continue" : "start");
      if (now.note) said.textContent = now.note;
      else if (!learner?.steps) said.textContent = say("ready", { uniform: Math.log2(learner.symbols.length).toFixed(2), symbols: learner.symbols.length });
      else said.textContent = say("told", { steps: learner.steps, bits: (curve.at(-1) ?? [0, 0])[1].toFixed(2), letters: learner.steps * learner.rows * data.length });
      if (learner.left.length) said.textContent += ` ${say("left", { count: data.symbols, letters: learner.left.slice(0, 10).join(" ") })}`;
    };
    const show = (whole) => {
      draw();
      if (whole) {
        written.textContent = now.learner.write(120, 0.6);
        look();
      }
      tell();
    };
    const stop = () => {
      clearTimeout(now.timer);
      now.timer = 0;
    };
    const begin = () => {
      stop();
      now.learner = new lesson.Learner(data.cells[cell.value], data, area.value);
      Object.assign(now, { curve: [], recent: [], changed: Number(rate.value) !== data.rate, note: "" });
      if (!now.learner.long) now.note = say("short", { least: data.length + 1 });
      const before = equation.value;
      const names = Object.keys(now.learner.plan.equations).filter((name) => !name.startsWith("output."));
      equation.replaceChildren(...names.map((name) => make("option", { value: name }, name)));
      if (names.includes(before)) equation.value = before;
      go.disabled = !now.learner.long;
      written.textContent = "";
      draw();
      if (now.learner.long) look();
      tell();
    };

    let shown = 0, turn = 0;
    const slice = () => {
      const begun = performance.now();
      try {
        do {
          now.recent.push(now.learner.step(Number(rate.value)));
          if (now.learner.steps % 10 === 0) {
            now.curve.push([now.learner.steps, now.recent.reduce((a, b) => a + b, 0) / now.recent.length]);
            now.recent = [];
          }
        } while (performance.now() - begun < SLICE);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        stop();
        now.note = say("diverged");
        return show(false);
      }
      // One thing at a time is shown: none of them holds the page up.
      const time = performance.now();
      if (time - shown > 200) {
        turn = (turn + 1) % 4;
        if (turn === 1) written.textContent = now.learner.write(120, 0.6);
        else if (turn === 3) look();
        else {
          draw();
          tell();
        }
        shown = time;
      }
      now.timer = setTimeout(slice, 0);
      return undefined;
    };

    go.addEventListener("click", () => {
      if (now.timer) {
        stop();
        show(true);
        return;
      }
      now.note = "";
      now.timer = setTimeout(slice, 0);
      tell();
    });
    anew.addEventListener("click", begin);
    cell.addEventListener("change", begin);
    rate.addEventListener("change", () => {
      now.changed = true;
      draw();
    });
    area.addEventListener("change", begin);
    equation.addEventListener("change", () => now.learner.long && look());
    const speak = () => {
      for (const element of part.querySelectorAll("[data-text]")) element.textContent = say(element.dataset.text);
      gates.setAttribute("aria-label", say("gates"));
      written.setAttribute("aria-label", say("writes"));
      draw();
      tell();
    };
    hands.hidden = false;
    more.hidden = false;
    views.replaceChildren(chart);
    begin();
    speak();
    lesson.onLanguage(speak);
    addEventListener("resize", draw);
  };

  // Built when it comes near, so that the page opens at once.
  for (const part of document.querySelectorAll('[data-part="training"]')) {
    new IntersectionObserver((entries, observer) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      build(part);
    }, { rootMargin: "1500px" }).observe(part);
  }
})();
