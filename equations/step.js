const sigmoid = (x) => 0.5 * (1 + Math.tanh(x / 2));

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

// One step forward. values: prev.h and so on, the states before it; x; given, further inputs; p,
// the parameters; held (optional), pre-activations that are set and not computed. What has more
// than one entry is an array. Returned: values with pre, the pre-activations, and now, the step's.
function forward(values) {
  const { prev, x, given, p } = values;
  const held = { __proto__: null, ...values.held };
  const pre = {}, now = {};
  /* forward */
  return { ...values, pre, now };
}

// One step backward. values: what forward returned; seeds.h and so on: the derivative of the loss
// in each state after the step and in the cell's output. Returned: bar, its derivative in every
// value; inputs, in the inputs, where a value may have the same name; delta, in the
// pre-activations; earlier, in the states before the step. What is held passes nothing on.
function backward(values, seeds) {
  const { prev, x, given, p, pre, now } = values;
  const held = { __proto__: null, ...values.held };
  const bar = {}, inputs = {}, delta = {}, through = {}, earlier = {};
  /* backward */
  return { bar, delta, earlier, inputs: { ...bar, ...inputs } };
}
