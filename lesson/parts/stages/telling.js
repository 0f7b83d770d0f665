"use strict";
// What a stage does at a letter, in words: the key of a text, forward and back, and its numbers. It
// is what Python's `told` says, from the same numbers, for any unit of the line.
lesson.telling = (() => {
  const { of, times, plus, minus, valueOf, written } = lesson.decimals;
  const zero = { m: 0, e: 0 };
  const rows = (names, unit) => {
    const found = (layer) => Object.fromEntries(names.map((name) => [name, lesson.line.row(name, layer, unit)]));
    const at = (layer) => (name, k) => layer[name][k] ?? zero;
    const [values, slopes] = [found("value"), found("gradient")];
    const known = names.every((name) => values[name] && slopes[name]);
    return { known, value: at(values), slope: at(slopes) };
  };

  // The LSTM's step and its way back: each number from those that are shown.
  const calculated = ({ value, slope }, k, count) => {
    const n = Object.fromEntries(["f", "i", "C_tilde", "o"].map((name) => [name, value(name, k)]));
    n.before = k ? value("C", k - 1) : zero;
    n.bar_h = slope("h", k);
    [n.kept, n.written] = [times(n.f, n.before), times(n.i, n.C_tilde)];
    n.C = plus(n.kept, n.written);
    n.tanh = of(Math.tanh(valueOf(n.C)));
    n.h = times(n.o, n.tanh);
    n.slope = plus({ m: 1, e: 0 }, minus(times(n.tanh, n.tanh)));
    n.from_h = times(n.bar_h, n.o, n.slope);
    const later = k + 1 < count;
    [n.next_C, n.next_f] = later ? [slope("C", k + 1), value("f", k + 1)] : [zero, zero];
    n.from_next = times(n.next_C, n.next_f);
    n.bar_C = plus(n.from_h, n.from_next);
    n.bar_o = times(n.bar_h, n.tanh);
    [n.bar_f, n.bar_i, n.bar_C_tilde] = [n.before, n.C_tilde, n.i].map((other) => times(n.bar_C, other));
    return n;
  };
  const level = (gate) => (valueOf(gate) > 0.9 ? "open" : valueOf(gate) < 0.1 ? "closed" : "half");
  const ofLstm = (row, [key], k, count) => {
    const n = calculated(row, k, count);
    const ahead = key === "C" ? "new" : level(n[key]);
    const back = key === "C" && k === count - 1 ? "last" : "back";
    const facts = Object.fromEntries(Object.entries(n).map(([name, number]) => [name, written(number)]));
    return [`${key}.${ahead}`, `${key}.${back}`, facts];
  };

  // An equation of any cell.
  const ofAny = (row, [, kind, name, said], k) => {
    const [value, slope] = [row.value(name, k), row.slope(name, k)];
    const share = value.m > 0 ? { m: value.m, e: value.e + 2 } : zero;
    const facts = {
      name: said, value: written(value), before: written(k ? row.value(name, k - 1) : zero),
      share: `${written(share)}\u202f%`, slope: written(slope),
    };
    return [`any.${kind}`, `any.${slope.m > 0 ? "rise" : slope.m < 0 ? "fall" : "none"}`, facts];
  };

  // told(stage, k): [forward's key, back's key, facts] for a unit, and the LSTM's numbers as they are
  // written in its picture; null where the page does not carry the unit.
  const about = ({ lstm, stages }, unit) => {
    const row = rows(lstm ? ["f", "i", "C_tilde", "C", "o", "h"] : stages.map(([, , name]) => name), unit);
    if (!row.known) return null;
    const { letters } = lesson.line;
    return {
      told: (stage, k) => {
        const [ahead, back, facts] = (lstm ? ofLstm : ofAny)(row, stage, k, letters.length);
        return [ahead, back, { ...facts, char: letters[k], at: k + 1, unit: unit + 1 }];
      },
      numbers: (k) => lstm && ofLstm(row, stages[0], k, letters.length)[2],
    };
  };
  return { about };
})();
