"use strict";
// What a stepper shows of an event: names, numbers, the rule, what is known by now, the figure.
const stepperView = (() => {
  const LINES = 4; // of arithmetic are shown at once
  const WIDE = 12; // entries of a vector that fit side by side

  // a label in a text: h, W_f, C̃_1, μ_{k,2}, C^(2)_1
  const NAME = /([\p{L}\p{M}](?:(?![ᵀ²]|_\{)[\p{L}\p{M}\p{N}_′])*(?:\^\([^)]*\))?(?:_\{[^}]*\}|_(?:(?![ᵀ²])[\p{L}\p{M}\p{N}_′])+)?′*)/u;

  const h = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children.flat());
    return element;
  };
  const say = (key, facts) => lesson.text("stepper", key, facts);

  // --- names ------------------------------------------------------------------------------------
  const barred = (base) => {
    const letters = [...base.normalize("NFD")];
    const word = letters.filter((c) => /[\p{L}\p{N}]/u.test(c)).length > 1;
    return (word ? letters.map((c) => `${c}\u0305`).join("") : `${base}\u0304`).normalize("NFC");
  };
  const nameOf = (node, bar = false) => {
    if (node.c) return node.l;
    const [base, below] = node.s;
    return h("var", {}, bar ? barred(base) : base, below === undefined ? [] : h("sub", {}, below));
  };
  // A sentence with names in it: {field} is filled with text or elements.
  const worded = (key, fields = {}) => say(key).split(/\{(\w+)\}/).map((piece, k) => (k % 2 ? fields[piece] ?? `{${piece}}` : piece)).flat();
  const shapeText = (shape) => (shape.length ? shape.join(" × ") : say("predict.one"));

  // trace: see trace.js. state: where the reader is, {index, watches, veil}; a veil hides what
  // a question asks for: "formula", or "value" for all that follows from the numbers.
  const view = (trace, state, figure, heading) => {
    const symbols = (text) => text.split(NAME).map((piece) => (trace.byLabel.has(piece) ? nameOf(trace.byLabel.get(piece)) : piece));
    const written = (event, template) => trace.pieces(event, template).map((p) => (typeof p === "string" ? p : nameOf(p.node, p.bar)));
    const target = (event) => nameOf(event.subject, !event.forward);
    const rule = (event, template = event.pattern.r, sign = trace.sign(event)) => [target(event), ` ${sign} `, ...written(event, template)];

    // --- numbers: a vector as a row of bars, a matrix as a table of them -------------------------
    const bar = (value, scale, kind) => h("span", {
      class: `bar ${kind}${value < 0 ? " below" : ""}`,
      style: `--v:${Math.min(100, Math.round((100 * Math.abs(value)) / (scale || 1))) || 0}%`,
    }, trace.short(value));
    const shown = (values, shape, scale, kind) => {
      const columns = shape.length > 1 ? shape[shape.length - 1] : values.length;
      const cells = values.slice(0, 4 * WIDE).map((v) => bar(v, scale, kind));
      if (values.length > cells.length) cells.push(h("span", {}, say("step.left_out", { count: values.length - cells.length })));
      return h("span", { class: "bars", style: `--columns:${Math.min(columns, WIDE)}` }, cells);
    };
    const unknown = () => h("span", { class: "unknown", title: say("move.unknown") }, "·");
    const scales = new Map(); // the largest entry of a name's gradients: one measure for all times
    for (const node of trace.nodes) {
      if (!trace.termsOf(node).length) continue;
      const name = node.n ?? node.l;
      scales.set(name, Math.max(scales.get(name) ?? 0, trace.largest(trace.total(node, Infinity))));
    }
    const valueOf = (node, index) => (trace.knownAt(node, index) ? shown(node.v, node.d, Math.max(1, trace.largest(node.v)), "value") : unknown());
    const gradientOf = (node, index) => {
      const found = trace.gradientAt(node, index);
      if (!found) return [unknown()];
      const count = found.count < found.of ? h("small", {}, say("step.weight_terms", { term: found.count, of: found.of })) : [];
      return [shown(found.values, node.d, scales.get(node.n ?? node.l), "gradient"), count].flat();
    };

    // --- what the event says ---------------------------------------------------------------------
    const kindOf = (event) => {
      const { o, i } = event.node;
      if (event.seed) return "backward.seed";
      const pass = event.forward ? "forward" : "backward";
      const first = i.indexOf(event.subject.id) === 0;
      const special = !event.forward && (o === "matvec" ? `matvec_${first ? "weight" : "vector"}` : o === "subtract" ? `subtract_${first ? "first" : "second"}` : o);
      const key = `${pass}.${special || o}`;
      try { say(key); } catch { return `${pass}.generic`; }
      return key;
    };
    const sentence = (event) => {
      const operands = (event.node.i || []).map((k) => nameOf(trace.nodes[k]));
      const { term } = event;
      const of = trace.termsOf(event.subject).length;
      const fields = {
        result: nameOf(event.node), subject: nameOf(event.subject), equation: nameOf(event.equation),
        a: operands[0], b: operands[1], operation: event.node.o, term, of,
      };
      // each use of a name in the text is an element of its own
      const copies = (key) => worded(key, Object.fromEntries(Object.entries(fields).map(([k, v]) => [k, v && v.cloneNode ? v.cloneNode(true) : v])));
      const said = copies(kindOf(event));
      const gap = lesson.text("language", "space");
      if (event.forward) return [...said, gap, ...copies(event.node === event.equation ? "forward.ready" : "forward.way")];
      if (of > 1) {
        const lasting = !event.subject.o && event.subject.t === undefined;
        said.push(gap, ...copies(lasting ? "backward.shared" : "backward.fork"));
        if (term === of) said.push(gap, ...copies("backward.complete"));
      }
      return said;
    };
    const lines = (name, sign, found, count) => {
      const made = found.map(([at, text]) => h("li", {}, nameOf(...name), `${at} ${sign} ${text}`));
      if (made.length < count) made.push(h("li", {}, say("step.left_out", { count: count - made.length })));
      const first = h("ul", { class: "arithmetic" }, made.slice(0, LINES));
      if (made.length <= LINES) return [first];
      return [first, h("details", { open: state.all, ontoggle: (e) => { state.all = e.target.open; } }, h("summary", {}, say("step.more", { count })), h("ul", { class: "arithmetic" }, made.slice(LINES)))];
    };
    const row = (label, ...content) => [h("dt", {}, label), h("dd", {}, content.flat())];

    const termTable = (event) => {
      const all = trace.termsOf(event.subject);
      const sizes = all.map((at, k) => [trace.largest(trace.events[at].share), trace.largest(trace.total(event.subject, k + 1))]);
      const most = Math.max(...sizes.flat());
      const body = all.map((at, k) => h("tr", k + 1 === event.term ? { "aria-current": "true" } : {},
        h("th", { scope: "row" }, k + 1, ". ", worded("step.from", { equation: nameOf(trace.events[at].equation) })),
        sizes[k].map((size) => h("td", {}, k < event.term ? bar(size, most, "gradient") : unknown()))));
      return h("table", { class: "terms" }, h("caption", {}, say("step.terms", { term: event.term, of: all.length })),
        h("thead", {}, h("tr", {}, h("td"), h("th", { scope: "col" }, say("step.contribution")), h("th", { scope: "col" }, say("step.sum")))), h("tbody", {}, body));
    };

    const card = (event) => {
      const { veil } = state;
      const hidden = () => h("span", { class: "veiled" }, `· ${say("predict.waiting")}`);
      const pairs = [];
      if (!event.forward && !event.seed) {
        const map = event.pattern.m ? ["g ↦ ", ...written(event, event.pattern.m)] : written(event, event.pattern.l ?? "1");
        pairs.push(row(say("step.upstream"), nameOf(event.node, true), " = ", ...gradientOf(event.node, event.index)));
        const quotient = ["∂", nameOf(event.node), "/∂", nameOf(event.subject), event.pattern.m ? ": " : " = ", ...map];
        pairs.push(row(say("step.local"), veil === "formula" ? hidden() : quotient,
          event.local && !veil ? [" = ", shown(event.local, event.node.d, 1, "value")] : []));
      }
      const used = new Set(trace.pieces(event, event.pattern.r).filter((p) => p.node && !p.bar && !p.node.c).map((p) => p.node));
      if (veil !== "formula") {
        const operands = [...used].map((node) => {
          const meaning = !node.n && node.x ? [" = ", ...symbols(node.x)] : [];
          return h("div", {}, nameOf(node), ...meaning, " = ", valueOf(node, event.index));
        });
        if (operands.length) pairs.push(row(say("step.with"), operands));
      }
      const size = event.subject.v.length;
      const name = [event.subject, !event.forward];
      pairs.push(row(say("step.numbers"), veil ? hidden() : lines(name, trace.sign(event), trace.arithmetic(event), size)));
      if (event.term > 1 && !veil) {
        pairs.push(row(say("step.running"), lines(name, "=", trace.sums(event), size)));
      }
      const scale = event.forward ? Math.max(1, trace.largest(event.node.v)) : scales.get(event.subject.n ?? event.subject.l);
      pairs.push(row(say("step.result"), target(event), " = ", veil ? hidden() : shown(trace.result(event), event.subject.d, scale, event.forward ? "value" : "gradient")));
      return [
        h("p", { class: "sentence" }, veil === "formula" ? hidden() : sentence(event)),
        h("p", { class: "stepper-rule" }, veil === "formula" ? [target(event), " = ", hidden()] : rule(event)),
        h("dl", {}, pairs.flat()),
        !veil && !event.forward && trace.termsOf(event.subject).length > 1 ? termTable(event) : [],
      ].flat();
    };

    // --- what is known ----------------------------------------------------------------------------
    const known = () => (state.veil ? state.index - 1 : state.index);
    const shownTime = (event) => event.time || trace.times[trace.times.length - 1] || null;
    const table = (rows, head) => h("table", { class: "known" },
      h("thead", {}, h("tr", {}, head.map((key) => h("th", { scope: "col" }, say(key))))), h("tbody", {}, rows));
    const line = (node, index, current) => h("tr", current ? { "aria-current": "true" } : {},
      h("th", { scope: "row" }, nameOf(node)), h("td", {}, valueOf(node, index)), h("td", {}, gradientOf(node, index)));
    const stateTables = (event, unwatch) => {
      const time = event.time;
      const own = trace.nodes.filter((n) => n.o && n.n && (n.e ?? null) === time);
      const given = trace.nodes.filter((n) => !n.o && !n.c && trace.termsOf(n).length > 0 && n.t === undefined);
      const weights = given.map((node) => {
        const found = trace.gradientAt(node, known());
        const size = found && trace.largest(found.values);
        return h("tr", node === event.subject ? { "aria-current": "true" } : {}, h("th", { scope: "row" }, nameOf(node, true)),
          h("td", {}, found ? say("step.weight_terms", { term: found.count, of: found.of }) : unknown()),
          h("td", {}, found ? bar(size, scales.get(node.n ?? node.l), "gradient") : unknown()));
      });
      const watched = state.watches.map((name) => {
        const nodes = trace.lookup(name);
        const now = nodes.filter((n) => (n.t ?? n.e) === time);
        const node = (now.length ? now : nodes).at(-1);
        return h("div", { class: "watch" },
          h("p", {}, nameOf(node), " = ", valueOf(node, known()), " ",
            h("button", { type: "button", class: "remove", "aria-label": say("find.remove", { name }), onclick: () => unwatch(name) }, "×")),
          trace.termsOf(node).length ? h("p", {}, nameOf(node, true), " = ", ...gradientOf(node, known())) : []);
      });
      const titled = (title, content) => [h(heading, {}, title), content];
      return [
        watched.length ? titled(say("step.watched"), watched) : [],
        titled(time ? say("head.state_at", { time }) : say("head.state"), table(own.map((n) => line(n, known(), n === event.equation)), ["move.equation", "step.value", "step.gradient"])),
        weights.length ? h("details", { class: "weights", open: state.weights !== false, ontoggle: (e) => { state.weights = e.target.open; } }, h("summary", {}, say("step.weights")),
          table(weights, ["step.parameter", "step.count", "step.sum"])) : [],
      ].flat(2);
    };

    // --- the figure -------------------------------------------------------------------------------
    const drawn = figure ? [...figure.querySelectorAll("g.node, g.edge")].map((element) => {
      const own = (kind) => [...element.classList].filter((c) => c.startsWith(`${kind}-`)).map((c) => c.slice(kind.length + 1));
      return { element, equations: own("eq"), values: own("val"), parts: own("part") };
    }) : [];
    const [ahead, behind] = figure ? [figure.querySelector(".ahead"), figure.querySelector(".behind")] : [];
    const light = (event) => {
      if (ahead && behind) [ahead.hidden, behind.hidden] = [!event.forward, event.forward];
      const time = shownTime(event);
      const at = (name) => {
        const before = name.startsWith("prev-");
        return trace.lookup(before ? `${name.slice(5)}@${time - 1}` : `${name}@${time}`)[0];
      };
      const reached = (node) => !node || (event.forward ? trace.knownAt(node, known()) : trace.gradientAt(node, known()) !== null || !trace.termsOf(node).length);
      const begun = (name) => trace.events.some((e) => e.index <= known() && e.forward === event.forward && e.time === time && e.equation.n === name);
      const states = new Map();
      const started = (name) => {
        if (!states.has(name)) states.set(name, begun(name));
        return states.get(name);
      };
      const current = event.time === time ? event.equation.n : null;
      const precise = event.node.p;
      for (const { element, equations, values, parts: own } of drawn) {
        const body = element.classList.contains("body");
        let lit = current !== null && equations.includes(current);
        if (lit && own.length && precise) lit = `part-${own[0]}` === precise;
        const reach = values.length ? values.every((v) => reached(at(v))) : equations.some(started);
        element.classList.toggle("forward", lit && event.forward);
        element.classList.toggle("backward", lit && !event.forward);
        element.classList.toggle("dim", !body && !lit && !reach);
      }
    };

    return { card, stateTables, light, known, rule, target, sentence };
  };

  return { view, h, say, worded, nameOf, shapeText };
})();
