// What is measured in the page itself: an object of functions, which `page_measures.py` calls.
(() => {
const HIDDEN = ".unseen, .glyphs, template, noscript";
const WORDS = "button, label, legend, summary, select, th, td, p, li, h1, h2, h3, h4, figcaption, dt, dd";
const APART = ".takeaway, .question, details:not([open])"; // what unfolds when it is asked to
const named = (e) =>
  `#${e.closest("[id]")?.id} ${e.localName}.${e.getAttribute("class") ?? ""}: ${e.textContent.trim().slice(0, 30)}`;

// Everything is set up and every appendix is in the document.
const whole = () => {
  lesson.ready();
  for (const section of document.querySelectorAll("main > .appendix")) lesson.find(section.id);
};

// Words in letters of fewer pixels, as they are seen.
const small = (least) => {
  const found = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const e = node.parentElement;
    if (!node.data.trim() || e.closest(`${HIDDEN}, script, style, option`)) continue;
    if (!e.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
    const drawn = e instanceof SVGElement ? Math.hypot(e.getScreenCTM().a, e.getScreenCTM().b) : 1;
    const size = parseFloat(getComputedStyle(e).fontSize) * drawn;
    if (size < least - 0.05) found.add(`${size.toFixed(1)} px, ${named(e)}`);
  }
  return [...found];
};

// Words that end at an edge without a way to scroll to the rest.
const clipped = () => {
  const found = new Set();
  const say = (e, words) => found.add(`${words}, ${named(e)}`);
  const scrolls = (e) => {
    for (let up = e; up && up !== document.body; up = up.parentElement) {
      if (/auto|scroll/.test(getComputedStyle(up).overflowX)) return up;
    }
    return null;
  };
  const seen = (e) => e.checkVisibility({ visibilityProperty: true }) && !e.closest(HIDDEN)
    && getComputedStyle(e).clipPath !== "inset(50%)";
  for (const e of document.querySelectorAll(WORDS)) {
    if (!seen(e) || e.clientWidth < 2) continue;
    const style = getComputedStyle(e);
    if (/hidden|clip/.test(style.overflowX) && e.scrollWidth > e.clientWidth + 1) say(e, "cut");
    const box = e.getBoundingClientRect();
    if (!scrolls(e) && (box.right > innerWidth + 1 || box.left < -1)) say(e, "beside the page");
  }
  for (const e of document.querySelectorAll("svg text")) {
    if (!seen(e)) continue;
    const svg = e.ownerSVGElement;
    const [box, frame] = [e.getBoundingClientRect(), svg.getBoundingClientRect()];
    if (!box.width || getComputedStyle(svg).overflow === "visible") continue;
    const across = box.left < frame.left - 1 || box.right > frame.right + 1;
    if (across || box.top < frame.top - 2 || box.bottom > frame.bottom + 2) say(e, "cut by its figure");
    const view = svg.matches(".chart") && scrolls(e)?.getBoundingClientRect();
    if (view && box.right > view.right + 1) say(e, "not in the chart's view");
  }
  return [...found];
};

const heights = () => [...document.querySelectorAll("header, main > .chapter")]
  .map((e) => [e.id || "start", Math.round(e.getBoundingClientRect().height)]);

// How much taller or lower a part becomes, in px, as each of its controls is used.
const use = async (part) => {
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const moved = {};
  const outer = (e) => e.closest("main > section > *, header > *") ?? e;
  const use = async (control, act) => {
    const box = outer(part);
    const before = box.getBoundingClientRect().height;
    act();
    await frame();
    await frame();
    const by = Math.abs(box.getBoundingClientRect().height - before);
    const name = [control.localName, control.dataset.text, control.className, control.ariaLabel];
    if (by > 0.5) moved[name.filter(Boolean).join(" ")] = by;
  };
  const set = (control, value) => {
    control.value = value;
    for (const kind of ["input", "change"]) control.dispatchEvent(new Event(kind, { bubbles: true }));
  };
  for (const control of part.querySelectorAll("input, select, button")) {
    if (!control.isConnected || control.disabled || control.closest(APART)) continue;
    if (!control.checkVisibility()) continue;
    if (control.matches("input[type=range]")) {
      const first = control.value;
      for (const value of [control.min, control.max, first]) {
        await use(control, () => set(control, value));
      }
    } else if (control.matches("select")) {
      const first = control.value;
      for (const { value } of [...control.options].slice(0, 4)) {
        await use(control, () => set(control, value));
      }
      await use(control, () => set(control, first));
    } else if (control.matches("button, input[type=radio]")) {
      await use(control, () => control.click());
    }
  }
  return moved;
};

return { whole, small, clipped, heights, use };
})()
