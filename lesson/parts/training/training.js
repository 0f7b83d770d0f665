"use strict";
// A small network learns while one watches. It does so in a worker of its own, so that the page
// stays as quick as it was; here are the hands and what is seen.
(() => {
  const HEIGHT = 260, LEFT = 48, RIGHT = 12, BOTTOM = 40, MOST = 7;
  const say = (key, facts) => lesson.text("training", `page.${key}`, facts);
  const element = (make) => (tag, attributes = {}, ...children) => {
    const made = make(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };
  const make = element((tag) => document.createElement(tag));
  const svg = element((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));

  const build = async (part) => {
    const data = JSON.parse(document.getElementById("training-data").textContent);
    const packed = JSON.parse(await lesson.unpacked("learner"));
    const area = part.querySelector("textarea");
    const given = area.value;
    const said = part.querySelector(".said");
    const hands = part.querySelector(".hands");
    const views = part.querySelector(".loss .scroll");
    const now = { worker: null, seen: null, curve: [], unseen: [], changed: false };
    part.training = now;

    const control = (key, inner) => make("label", {}, make("span", { "data-text": key }), inner);
    const go = make("button", { type: "button" });
    const anew = make("button", { type: "button", "data-text": "anew" });
    const cell = make("select", {}, ...Object.entries(data.cells).map(([value, title]) => make("option", { value }, title)));
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
      const most = Math.max(300, now.seen?.steps ?? 0);
      const width = Math.max(280, views.clientWidth);
      chart.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
      const x = (step) => LEFT + (step / most) * (width - LEFT - RIGHT);
      const y = (bits) => HEIGHT - BOTTOM - (Math.min(MOST, bits) / MOST) * (HEIGHT - BOTTOM - 8);
      const parts = [];
      const line = (points, style, key) => {
        if (!points.length) return;
        // of a long training every so many points: one for each pixel is enough
        const each = Math.ceil(points.length / width);
        const drawn = points.filter((_, k) => (points.length - 1 - k) % each === 0);
        parts.push(svg("polyline", { class: `curve ${style}`, points: drawn.map(([s, b]) => `${x(s).toFixed(1)},${y(b).toFixed(1)}`).join(" ") }));
        names.push([style, say(key)]);
      };
      const names = [];
      for (let bits = 0; bits <= MOST; bits += 1) {
        parts.push(svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(bits), y2: y(bits) }));
        parts.push(svg("text", { x: LEFT - 8, y: y(bits) + 4, "text-anchor": "end" }, String(bits)));
      }
      const power = 10 ** Math.floor(Math.log10(most));
      const step = most < 2 * power ? power / 5 : most < 5 * power ? power : 2 * power;
      for (let s = 0; s <= most; s += step) {
        const anchor = x(s) > width - RIGHT - 20 ? "end" : "middle";
        parts.push(svg("text", { x: x(s), y: HEIGHT - BOTTOM + 18, "text-anchor": anchor }, String(s)));
      }
      parts.push(svg("text", { class: "axis", x: (LEFT + width) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, say("axes")));
      if (cell.value === data.first && !now.changed && area.value === given) line(data.reference, "c1", "python");
      line(now.curve, "c0", "learned");
      line(now.unseen, "c2", "unseen");
      names.forEach(([style, name], k) => {
        const top = 14 + 18 * k;
        parts.push(svg("line", { class: `curve ${style}`, x1: width - 40, x2: width - RIGHT, y1: top, y2: top }));
        parts.push(svg("text", { x: width - 46, y: top + 4, "text-anchor": "end" }, name));
      });
      chart.replaceChildren(...parts);
    };

    const colour = (rows) => {
      const all = rows.flat();
      const gate = all.every((v) => v >= 0 && v <= 1);
      const most = gate ? 1 : all.reduce((a, b) => Math.max(a, Math.abs(b)), 0) || 1;
      gates.width = rows.length;
      gates.height = rows[0].length;
      const pen = gates.getContext("2d", { willReadFrequently: true });
      const inks = ["--lstm", "--rnn"].map((name) => {
        pen.fillStyle = getComputedStyle(part).getPropertyValue(name);
        pen.fillRect(0, 0, 1, 1);
        return [...pen.getImageData(0, 0, 1, 1).data.slice(0, 3)];
      });
      const image = pen.createImageData(gates.width, gates.height);
      rows.forEach((row, t) => {
        row.forEach((v, u) => {
          image.data.set([...inks[Number(v < 0)], (255 * Math.abs(v)) / most], 4 * (u * rows.length + t));
        });
      });
      pen.putImageData(image, 0, 0);
    };

    const tell = () => {
      const { seen } = now;
      if (!seen) return;
      go.textContent = say(seen.running ? "stop" : seen.steps ? "continue" : "start");
      const words = [];
      if (seen.diverged) words.push(say("diverged"));
      else if (!seen.long) words.push(say("short", { least: data.settings.length + 1 }));
      else if (!seen.steps) words.push(say("ready", { uniform: Math.log2(seen.symbols).toFixed(2), symbols: seen.symbols }));
      else {
        const bits = (now.curve.at(-1)?.[1] ?? seen.bits).toFixed(2);
        words.push(say("told", { steps: seen.steps, bits, letters: seen.steps * seen.rows * data.settings.length }));
        if (now.unseen.length) words.push(say("held", { bits: now.unseen.at(-1)[1].toFixed(2) }));
      }
      if (seen.left.length) words.push(say("left", { count: data.settings.symbols, letters: seen.left.join(" ") }));
      said.textContent = words.join(" ");
    };

    const hear = (news) => {
      now.seen = { ...now.seen, ...news };
      now.curve.push(...(news.curve ?? []));
      if (news.unseen) now.unseen.push(news.unseen);
      if (news.names) {
        const before = equation.value;
        equation.replaceChildren(...news.names.map((name) => make("option", { value: name }, name)));
        if (news.names.includes(before)) equation.value = before;
      }
      if (news.written !== undefined) written.textContent = news.written;
      if (news.units && news.equation === equation.value) colour(news.units);
      go.disabled = !now.seen.long;
      draw();
      tell();
      if (now.asked && now.seen.long) run(true);
    };
    const run = (running) => {
      now.asked = false;
      send(running ? { go: true } : { stop: true });
      hear({ running });
    };

    // Each training has a worker of its own: the compiled step of one cell.
    const begin = () => {
      now.worker?.terminate();
      const { code, ...about } = packed.cells[cell.value];
      const address = URL.createObjectURL(new Blob([packed.worker[0], "\n", code, "\n", packed.worker[1]]));
      now.worker = new Worker(address);
      URL.revokeObjectURL(address);
      now.worker.onmessage = ({ data: news }) => hear(news);
      Object.assign(now, { seen: null, asked: false, curve: [], unseen: [], changed: Number(rate.value) !== data.rate });
      written.textContent = "";
      now.worker.postMessage({ begin: { about, settings: data.settings, text: area.value }, rate: Number(rate.value), equation: equation.value });
    };
    const send = (news) => now.worker.postMessage(news);

    go.addEventListener("click", () => {
      if (now.seen) run(!now.seen.running);
      else now.asked = !now.asked; // its worker is still being made
    });
    anew.addEventListener("click", begin);
    cell.addEventListener("change", begin);
    rate.addEventListener("change", () => {
      now.changed = true;
      send({ rate: Number(rate.value) });
      draw();
    });
    area.addEventListener("change", begin);
    equation.addEventListener("change", () => send({ equation: equation.value }));
    const speak = () => {
      for (const named of part.querySelectorAll("[data-text]")) named.textContent = say(named.dataset.text);
      gates.setAttribute("aria-label", say("gates"));
      written.setAttribute("aria-label", say("writes"));
      draw();
      tell();
    };
    begin(); // where no worker can be made the still picture stays
    hands.hidden = false;
    more.hidden = false;
    views.replaceChildren(chart);
    speak();
    lesson.onLanguage(speak);
    addEventListener("resize", draw);
  };

  // Built when it comes near, so that no worker is made for nobody.
  lesson.part('[data-part="training"]', (part) => {
    if (!globalThis.DecompressionStream || !globalThis.Worker) return;
    new IntersectionObserver((entries, observer) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      build(part);
    }, { rootMargin: "1500px" }).observe(part);
  });
})();
