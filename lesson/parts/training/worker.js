// The worker's side: learns in short pieces, and listens between them.
// Told: begin {about, settings, text}, go {rate, until}, stop, rate, equation.
(() => {
  const LOOK = 72, WRITTEN = 120, TEMPERATURE = 0.6, EVERY = 10, PIECE = 30, PAUSE = 250;
  const now = { learner: null, running: false, rate: 0, until: Infinity, equation: "", recent: [] };
  let curve = [], told = 0, turn = 0, next = 0;

  const mean = (costs) => costs.reduce((a, b) => a + b, 0) / costs.length;
  const views = {
    units: (learner) => ({ units: learner.look(now.equation, LOOK), equation: now.equation }),
    written: (learner) => (learner.steps ? { written: learner.write(WRITTEN, TEMPERATURE) } : {}),
    unseen: (learner) => {
      const bits = learner.held.length ? learner.unseen() : NaN;
      return Number.isFinite(bits) ? { unseen: [learner.steps, bits] } : {};
    },
  };
  const kinds = Object.keys(views);

  // While it learns one view at a time is made anew, else all.
  const tell = (more = {}) => {
    const { learner, running } = now;
    const { steps, rows, symbols, left, long, diverged } = learner;
    const bits = now.recent.length ? mean(now.recent) : undefined;
    const seen = { ...(bits && { bits }), steps, rows, symbols: symbols.length, left: left.slice(0, 10), long, running, curve, diverged, ...more };
    turn = (turn + 1) % kinds.length;
    const wanted = !long || diverged ? [] : running ? [kinds[turn]] : kinds;
    for (const kind of wanted) Object.assign(seen, views[kind](learner));
    curve = [];
    told = performance.now();
    postMessage(seen);
  };

  const piece = () => {
    const begun = performance.now();
    try {
      while (performance.now() - begun < PIECE && now.learner.steps < now.until) {
        now.recent.push(now.learner.step(now.rate));
        if (now.recent.length === EVERY) {
          curve.push([now.learner.steps, mean(now.recent)]);
          now.recent = [];
        }
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      now.running = false;
      now.learner.diverged = true;
    }
    if (now.learner.steps >= now.until) now.running = false;
    if (!now.running || performance.now() - told > PAUSE) tell();
    if (now.running) next = setTimeout(piece, 0);
  };

  onmessage = ({ data: { begin, go, stop, ...news } }) => {
    Object.assign(now, news);
    if (go || stop) clearTimeout(next);
    if (begin) {
      const [plan] = Object.values(tinygrad_lstm);
      now.learner = new Learner(plan, begin.about, begin.settings, begin.text);
      const names = Object.keys(plan.equations).filter((name) => !name.startsWith("output."));
      if (!names.includes(now.equation)) [now.equation] = names;
      tell({ names });
    } else if (go) {
      now.running = true;
      piece();
    } else if (stop) {
      now.running = false;
      tell();
    } else if (!now.running) tell();
  };
})();
