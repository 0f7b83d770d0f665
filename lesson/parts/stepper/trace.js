"use strict";
// A trace as the page has it: what each event computes, what is known after it, where to go next.
// Python computed every number (lesson/parts/trace_data.py); only sums of gradients are added here.
const traces = (() => {
  const ENTRIES = 24; // of a value are written out one by one, and
  const TERMS = 8; // of a sum over time: as in the terminal
  const MORE = 5; // further digits at most, so that a line's numbers give its result

  // So many significant digits, as Python's %g writes them, with a true minus sign.
  const number = (value, digits) => {
    if (Number.isNaN(value)) return "nan";
    if (!Number.isFinite(value)) return value > 0 ? "inf" : "−inf";
    if (value === 0) return "0";
    const trim = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
    const [mantissa, power] = value.toExponential(digits - 1).split("e");
    const e = Number(power);
    const text = e < -4 || e >= digits
      ? `${trim(mantissa)}e${e < 0 ? "-" : "+"}${String(Math.abs(e)).padStart(2, "0")}`
      : trim(value.toFixed(Math.max(digits - 1 - e, 0)));
    return text.replace(/-/g, "−");
  };

  // For bars, which are narrow: 0.123, 1.2 · 10⁻³.
  const short = (value) => {
    const size = Math.abs(value);
    if (size >= 0.01 || size === 0 || !Number.isFinite(value)) return number(value, 3);
    const [mantissa, power] = value.toExponential(1).split("e");
    return `${mantissa}\u202f·\u202f10${[...String(Number(power))].map((d) => "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"["0123456789-".indexOf(d)]).join("")}`.replace("-", "−");
  };
  const plain = (v) => (typeof v === "string" ? Number(v.replace("inf", "Infinity")) : v);
  const largest = (values) => values.reduce((most, v) => (Math.abs(v) > most || Number.isNaN(v) ? Math.abs(v) : most), 0);

  const place = (shape, flat) => {
    const at = [];
    for (let k = shape.length - 1; k >= 0; k--) {
      at.unshift(flat % shape[k]);
      flat = Math.floor(flat / shape[k]);
    }
    return at.length ? `[${at.join(",")}]` : "";
  };

  const read = (data) => {
    const nodes = data.nodes.map((node, id) => ({ ...node, id, v: node.v.map(plain) }));
    const { digits, given, patterns } = data;
    const terms = new Map(); // the events that add to a value's gradient
    const firstBack = new Map();
    const events = data.events.map(([node, pattern, subject, share, local], index) => {
      const forward = subject === undefined;
      const event = {
        index, node: nodes[node], pattern: patterns[pattern], forward,
        seed: subject === node, subject: nodes[forward ? node : subject],
        share: share && share.map(plain), local: local && local.map(plain),
        closing: data.closing[index].split(" "), // of each line, and of each line of the sum
      };
      event.time = event.node.e ?? null;
      event.equation = nodes[event.node.w ?? node];
      if (!forward) {
        if (!terms.has(subject)) terms.set(subject, []);
        event.term = terms.get(subject).push(index);
        if (!event.seed && !firstBack.has(node)) firstBack.set(node, index);
      }
      return event;
    });
    const forwards = nodes.length - given;
    const last = events.length - 1;
    const byLabel = new Map(nodes.filter((node) => !node.c).map((node) => [node.l, node]));
    const times = [...new Set(nodes.map((n) => n.e).filter((t) => t))].sort((a, b) => a - b);

    const total = (node, count) => {
      const sum = new Array(node.v.length).fill(0);
      for (const at of (terms.get(node.id) || []).slice(0, count)) {
        events[at].share.forEach((v, k) => { sum[k] += v; });
      }
      return sum;
    };
    const termsOf = (node) => terms.get(node.id) || [];
    const gradientAt = (node, index) => {
      const count = termsOf(node).filter((at) => at <= index).length;
      return count ? { count, of: termsOf(node).length, values: total(node, count) } : null;
    };
    const knownAt = (node, index) => node.id < given || node.id - given <= index;

    // --- the rule of an event -------------------------------------------------------------------
    const names = (event) => [null, ...new Set([event.node, ...event.node.i?.map((k) => nodes[k]) || []])];
    const slots = (event) => {
      const values = names(event).map((node) => node && node.v);
      if (!event.forward && !event.seed) values[0] = total(event.node, Infinity);
      return values;
    };
    // A template as pieces: text, and {node, bar} where a name stands.
    const pieces = (event, template) => {
      const known = names(event);
      return template.split(/\{(\d+)\}/).map((piece, k) => {
        if (k % 2 === 0) return piece;
        return piece === "0" ? { node: event.node, bar: true } : { node: known[piece], bar: false };
      }).filter((piece) => piece !== "");
    };
    // How a line is written: with so many digits, and whether they give the result.
    const written = (closing, k) => {
      const more = closing?.[k] ?? "0";
      return more === "~" ? [digits + MORE, "≈"] : [digits + Number(more), "="];
    };
    const filled = (template, values, size) => template.replace(
      /([\p{L}\p{No}√^]?)\(\{(\d+)\.(\d+)\}\)|\{(\d+)\.(\d+)\}|\{=([^}]*)\}/gu,
      (_, before, slot, flat, bareSlot, bareFlat, exact) => {
        if (exact) return number(Number(exact.replace(/−/g, "-")), size);
        const text = number(values[slot ?? bareSlot][flat ?? bareFlat], size);
        if (slot === undefined) return text;
        return before || text.startsWith("−") ? `${before}(${text})` : text;
      },
    );
    const sign = (event) => (event.term > 1 ? "+=" : "=");
    const result = (event) => (event.forward ? event.node.v : total(event.subject, event.term));

    // The arithmetic of the first entries, each as [place, text after the sign].
    const arithmetic = (event) => {
      const values = slots(event);
      const computed = event.forward ? event.node.v : event.share;
      return event.pattern.n.map((template, k) => {
        const [size, equals] = written(event.closing[0], k);
        const text = filled(template, values, size);
        const value = number(computed[k], digits);
        return [place(event.subject.d, k), text === value ? value : `${text} ${equals} ${value}`];
      });
    };
    const sums = (event) => {
      if (event.forward || event.term < 2) return [];
      const own = termsOf(event.subject).slice(0, event.term).map((at) => events[at].share);
      const parts = event.term <= TERMS ? own : [total(event.subject, event.term - 1), event.share];
      const whole = result(event);
      return whole.slice(0, ENTRIES).map((value, k) => {
        const [size, equals] = written(event.closing[1], k);
        const texts = parts.map((part, j) => {
          const text = number(part[k], size);
          return j && text.startsWith("−") ? `(${text})` : text;
        });
        return [place(event.subject.d, k), `${texts.join(" + ")} ${equals} ${number(value, digits)}`];
      });
    };

    // --- moving about ---------------------------------------------------------------------------
    const key = (index, by) => {
      const { forward, time, equation } = events[index];
      return `${forward} ${by === "pass" ? "" : time} ${by === "equation" ? equation.id : ""}`;
    };
    const next = (index, by) => {
      if (index >= last) return last;
      index += 1;
      const here = key(index, by);
      while (by !== "operation" && index < last && key(index + 1, by) === here) index += 1;
      return index;
    };
    const back = (index, by) => {
      if (by === "operation") return Math.max(index - 1, 0);
      const here = key(index, by);
      while (index > 0 && key(index, by) === here) index -= 1;
      return index;
    };
    const across = (index) => {
      const { forward, node } = events[index];
      return forward ? firstBack.get(node.id) ?? forwards : Math.max(node.id - given, 0);
    };
    // The last event of an equation in one pass; -1 where it has none.
    const lastOf = (equation, forward) => events.findLastIndex((e) => e.forward === forward && e.equation === equation);

    const lookup = (name) => {
      if (!name.includes("@")) {
        if (byLabel.has(name)) return [byLabel.get(name)];
        const found = nodes.filter((node) => node.n === name);
        return found.length ? found : nodes.filter((node) => node.a === name || `${node.n}_${node.t}` === name);
      }
      const [base, when] = name.split("@");
      return nodes.filter((node) => node.n === base && String(node.t) === when);
    };
    const called = [...new Set(nodes.filter((n) => n.n).map((n) => n.n))];

    const compare = {
      "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b,
    };
    // A condition to stop at, as a function of events; or {error, name} where it cannot be read.
    const breakpoint = (text) => {
      const words = text.trim();
      if (words === "forward" || words === "backward") return (e) => e.forward === (words === "forward");
      if (words === "nan") return (e) => result(e).some(Number.isNaN);
      if (words === "inf") return (e) => result(e).some((v) => Math.abs(v) === Infinity);
      const time = words.match(/^t\s*=\s*(\d+)$/);
      if (time) return (e) => e.time === Number(time[1]);
      const size = words.match(/^\|\s*(?:(grad)(?![\p{L}\p{N}_])\s*)?([^|\s]*)\s*\|\s*(<=|>=|<|>)\s*(\S+)$/u);
      if (!size && (!words || /[|<>=\s]|^@|@.*@/.test(words))) return { error: "unread", name: words };
      const name = size ? size[2] : words;
      const found = name ? lookup(name) : null;
      if (found && !found.length) return { error: "unknown", name };
      if (!size) return (e) => found.includes(e.subject);
      const limit = Number(size[4].replace("−", "-"));
      if (Number.isNaN(limit) || (!size[1] && !name)) return { error: "unread", name: words };
      return (e) => (!found || found.includes(e.subject)) && e.forward === !size[1]
        && (e.forward || e.term === termsOf(e.subject).length)
        && compare[size[3]](largest(result(e)), limit);
    };
    const find = (stop, start) => events.findIndex((e) => e.index > start && stop(e));

    return {
      digits, nodes, events, last, adjoints: data.adjoints ?? {}, times, called, columns: data.columns, byLabel,
      gradientAt, knownAt, termsOf, total, names, pieces, sign, result, arithmetic, sums,
      next, back, across, lastOf, lookup, breakpoint, find, place,
      number: (value) => number(value, digits), short, largest,
    };
  };

  return { read };
})();
