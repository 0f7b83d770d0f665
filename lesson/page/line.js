"use strict";
// Numbers of three digits, and the line of text that the page follows: every unit of every equation along it, and the gradients,
// as the heat map has them. Numbers are carried as they are shown, m · 10^e of three digits, and what
// is computed from them is computed as with a pencil: each result is rounded to three digits again.
lesson.decimals = (() => {
  const [LOWEST, MISSING, DIGITS] = [-24, 2047, 3];
  const RAISED = { "-": "⁻", ...Object.fromEntries([..."⁰¹²³⁴⁵⁶⁷⁸⁹"].map((c, k) => [k, c])) };

  // m · 10^e with m of at most three digits, halves away from zero
  const rounded = (m, e) => {
    let whole = BigInt(m);
    const minus = whole < 0n;
    if (minus) whole = -whole;
    const over = String(whole).length - DIGITS;
    if (over > 0) {
      const unit = 10n ** BigInt(over);
      whole = whole / unit + (2n * (whole % unit) >= unit ? 1n : 0n);
      e += over;
      if (whole === 1000n) [whole, e] = [100n, e + 1];
    }
    return { m: Number(minus ? -whole : whole), e };
  };
  const unpacked = (text) => {
    const raw = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const codes = new Uint16Array(raw.buffer);
    return { length: codes.length, at: (k) => ((codes[k] & MISSING) === MISSING ? null : { m: (codes[k] & MISSING) - 1000, e: (codes[k] >> 11) + LOWEST }) };
  };
  const valueOf = ({ m, e }) => (e < 0 ? m / 10 ** -e : m * 10 ** e);
  const of = (number) => {
    if (!number || !Number.isFinite(number)) return { m: 0, e: 0 };
    const [mantissa, power] = number.toExponential().split("e"); // as few digits as tell it apart
    const [ahead, behind = ""] = mantissa.split(".");
    return rounded(BigInt(ahead + behind), Number(power) - behind.length);
  };
  const times = (...factors) => {
    const product = factors.reduce((all, { m }) => all * BigInt(m), 1n);
    return rounded(product, factors.reduce((sum, { e }) => sum + e, 0));
  };
  const plus = (...terms) => {
    const least = terms.reduce((low, { m, e }) => (m ? Math.min(low, e) : low), 0);
    return rounded(terms.reduce((sum, { m, e }) => (m ? sum + BigInt(m) * 10n ** BigInt(e - least) : sum), 0n), least);
  };
  const minus = ({ m, e }) => ({ m: -m, e });

  // 0.862, −1.2, 0.0031, 2.4 · 10⁻⁶
  const written = ({ m, e }) => {
    if (!m) return "0";
    const digits = String(Math.abs(m));
    const sign = m < 0 ? "−" : "";
    const high = digits.length - 1 + e;
    const trimmed = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
    if (high > -4 && high < 7) {
      if (e >= 0) return sign + digits + "0".repeat(e);
      const padded = digits.padStart(1 - e, "0");
      return sign + trimmed(`${padded.slice(0, e)}.${padded.slice(e)}`);
    }
    const power = String(high).replace(/./g, (c) => RAISED[c]);
    const mantissa = digits.length > 1 ? trimmed(`${digits[0]}.${digits.slice(1)}`) : digits;
    return `${sign}${mantissa}\u202f·\u202f10${power}`;
  };

  return { unpacked, valueOf, of, times, plus, minus, written };
})();

lesson.line = (() => {
  const found = document.getElementById("heatmap-data");
  const followed = document.getElementById("followed-data");
  if (!found || !followed) return null;
  const { text, letter, unit } = JSON.parse(followed.textContent);
  let told = null; // looked at when it is first asked for
  const data = () => {
    if (!told) {
      const { characters, equations } = JSON.parse(found.textContent);
      told = { letters: characters, equations: new Map(equations.map((each) => [each.name, each])) };
    }
    return told;
  };
  const arrays = new Map();
  const array = (name, layer) => {
    const key = `${layer} ${name}`;
    if (!arrays.has(key)) arrays.set(key, lesson.decimals.unpacked(data().equations.get(name)[layer]));
    return arrays.get(key);
  };
  const size = (name) => data().equations.get(name).shape.reduce((a, b) => a * b, 1);
  const units = () => [...data().equations.keys()].reduce((most, name) => Math.max(most, size(name)), 0);

  lesson.choice.set({ letter, unit }, "line");
  const keep = (name, key, first, most) => lesson.address.keep(name, {
    read: (text) => {
      const wanted = text === null ? first : lesson.address.counted(text, most());
      if (wanted !== null) lesson.choice.set({ [key]: wanted }, "address");
    },
    write: () => (lesson.choice.get()[key] === first ? "" : String(lesson.choice.get()[key] + 1)),
  });
  keep("char", "letter", letter, () => data().letters.length);
  keep("unit", "unit", unit, units);
  lesson.choice.on(lesson.address.changed);

  return {
    first: { letter, unit },
    shape: size,
    get letters() {
      return data().letters;
    },
    // How many letters of a longer text stand before the line; -1: it is not in it.
    offset: (whole) => (whole.includes(text) ? [...whole.slice(0, whole.indexOf(text))].length : -1),
    // An equation's unit along the line, as decimals, null where no finite number stands; of a shape
    // that is smaller than the unit's number the unit that stands in its place, as in Python. null:
    // the page does not carry this unit.
    row: (name, layer, unit) => {
      const place = data().equations.get(name).units.indexOf(unit % size(name));
      if (place < 0) return null;
      const { letters } = data();
      const all = array(name, layer);
      return letters.map((_, k) => all.at(place * letters.length + k));
    },
  };
})();
