const sigmoid = (x) => 1 / (1 + Math.exp(-x));

const relu = (x) => (x <= 0 ? 0 : x);

const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

const erf = (x) => {  // by its power series, far out by the continued fraction of 1 - erf
  const a = Math.abs(x), e = Math.exp(-x * x) / Math.sqrt(Math.PI);
  let sum = 0, term = 2 * a;
  if (a > 3) {
    for (let k = 60; k > 0; k--) sum = k / 2 / (a + sum);
    return Math.sign(x) * (1 - e / (a + sum));
  }
  for (let k = 1; k < 100; k++) { sum += term; term *= 2 * x * x / (2 * k + 1); }
  return Math.sign(x) * sum * e;
};

// A table of places: from `start` on, runs of `count, stride` within runs, the innermost first.
function places(start, ...runs) {
  let table = [start];
  for (let k = 0; k < runs.length; k += 2)
    table = Array.from({ length: runs[k] }, (_, i) => table.map((at) => at + i * runs[k + 1])).flat();
  return Int32Array.from(table);
}

// A matrix (inner, columns), entry (k, c) at from[start + k * down + c * right], in panels of eight
// columns, the last one filled up with zeros.
function fillPanels(inner, columns, from, start, down, right, to) {
  for (let c = 0, p = 0; c < columns; c += 8)
    for (let k = 0; k < inner; k++)
      for (let i = c; i < c + 8; i++, p++)
        to[p] = i < columns ? from[start + k * down + i * right] : 0;
}

// Rows of `out` = rows of x · the matrix in panels; onto: added to what is there. Two rows at a time,
// or one: sums stay in registers.
function product(rows, columns, inner, x, ox, sx, panels, out, oo, so, onto) {
  let r = 0;
  for (; r + 1 < rows; r += 2) {
    const a = ox + r * sx, b = a + sx;
    for (let c = 0; c < columns; c += 4) {
      let s = 0, t = 0, u = 0, v = 0, S = 0, T = 0, U = 0, V = 0, p = (c >> 3) * 8 * inner + c % 8;
      for (let k = 0; k < inner; k++, p += 8) {
        const y = x[a + k], z = x[b + k];
        const A = panels[p], B = panels[p + 1], C = panels[p + 2], D = panels[p + 3];
        s += y * A; t += y * B; u += y * C; v += y * D;
        S += z * A; T += z * B; U += z * C; V += z * D;
      }
      const to = oo + r * so + c, last = to + so;
      store(out, to, columns - c, onto, s, t, u, v);
      store(out, last, columns - c, onto, S, T, U, V);
    }
  }
  if (r === rows) return;
  const a = ox + r * sx, to = oo + r * so;
  for (let c = 0, p = 0; c < columns; c += 8) {
    let s = 0, t = 0, u = 0, v = 0, S = 0, T = 0, U = 0, V = 0;
    for (let k = a; k < a + inner; k++, p += 8) {
      const y = x[k];
      s += y * panels[p]; t += y * panels[p + 1]; u += y * panels[p + 2]; v += y * panels[p + 3];
      S += y * panels[p + 4]; T += y * panels[p + 5]; U += y * panels[p + 6]; V += y * panels[p + 7];
    }
    store(out, to + c, columns - c, onto, s, t, u, v);
    store(out, to + c + 4, columns - c - 4, onto, S, T, U, V);
  }
}

function store(out, at, columns, onto, s, t, u, v) {
  if (columns > 0) out[at] = onto ? out[at] + s : s;
  if (columns > 1) out[at + 1] = onto ? out[at + 1] + t : t;
  if (columns > 2) out[at + 2] = onto ? out[at + 2] + u : u;
  if (columns > 3) out[at + 3] = onto ? out[at + 3] + v : v;
}

// out (height, width) += leftᵀ · right, summed over rows, some of them at a time.
function outer(height, width, rows, left, ol, sl, right, or, sr, out) {
  const most = Math.min(rows, 128);
  const turned = new Numbers(height * most), panels = new Numbers((width + 7 >> 3) * 8 * most);
  for (let first = 0; first < rows; first += most) {
    const n = Math.min(most, rows - first);
    for (let i = 0; i < height; i++)
      for (let k = 0; k < n; k++) turned[i * n + k] = left[ol + (first + k) * sl + i];
    fillPanels(n, width, right, or + first * sr, sr, 1, panels);
    product(height, width, n, turned, 0, n, panels, out, 0, width, true);
  }
}

// Rows of samples that have ended become those of `from`, or zero.
function copy_ended(ended, at, rows, width, to, start, from, first) {
  for (let r = 0; ended && r < rows; r++)
    for (let j = r * width; ended[at + r] && j < (r + 1) * width; j++)
      to[start + j] = from ? from[first + j] : 0;
}

// What follows is as in samples.c, an array and an offset for each pointer.
function move(n, out, o, to, x, ox, from) {
  for (let j = 0; j < n; j++) out[o + (to ? to[j] : j)] = x[ox + (from ? from[j] : j)];
}

// Entry j of x enters entry to[j] of the result, the only one where there is no table.
function add_up(n, out, o, to, x, ox) {
  for (let j = 0; j < n; j++) out[o + (to ? to[j] : 0)] += x[ox + j];
}

function multiply_up(n, out, o, to, x, ox) {
  for (let j = 0; j < n; j++) out[o + (to ? to[j] : 0)] *= x[ox + j];
}

function largest(n, out, o, to, x, ox) {
  for (let j = 0; j < n; j++) {
    const at = o + (to ? to[j] : 0);
    out[at] = Math.max(out[at], x[ox + j]);
  }
}

function log_sum_exp(m, n, out, o, to, x, ox) {
  const most = new Float64Array(m).fill(-Infinity), sums = new Float64Array(m);
  largest(n, most, 0, to, x, ox);
  for (let j = 0; j < m; j++) most[j] = Number.isFinite(most[j]) ? most[j] : 0;
  for (let j = 0; j < n; j++) sums[to ? to[j] : 0] += Math.exp(x[ox + j] - most[to ? to[j] : 0]);
  for (let j = 0; j < m; j++) out[o + j] = most[j] + Math.log(sums[j]);
}

// Along the middle one of three axes.
function cumsum_(outer, length, inner, out, o, x, ox) {
  for (let i = 0; i < outer * inner; i++) {
    let total = 0;
    for (let k = 0, at = (i / inner | 0) * length * inner + i % inner; k < length; k++, at += inner)
      out[o + at] = total += x[ox + at];
  }
}

function softmax_(outer, length, inner, out, o, x, ox, logarithm = false) {
  for (let i = 0; i < outer * inner; i++) {
    const first = (i / inner | 0) * length * inner + i % inner, end = first + length * inner;
    let most = -Infinity, total = 0;
    for (let at = first; at < end; at += inner) most = Math.max(most, x[ox + at]);
    for (let at = first; at < end; at += inner) total += Math.exp(x[ox + at] - most);
    for (let at = first; at < end; at += inner)
      out[o + at] = logarithm ? x[ox + at] - (most + Math.log(total)) : Math.exp(x[ox + at] - most) / total;
  }
}

function log_softmax_(...values) { softmax_(...values, true); }

function fill(n, out, o, value) { out.fill(value, o, o + n); }

function average(m, n, out, o) { for (let j = o; j < o + m; j++) out[j] *= m / n; }

function truth(n, out, o) { for (let j = o; j < o + n; j++) out[j] = Number(out[j] !== 0); }
