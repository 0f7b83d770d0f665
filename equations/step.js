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
