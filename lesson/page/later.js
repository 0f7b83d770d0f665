"use strict";
// What the page does later than at once. Costly parts of chapters are set up when they come near,
// or one after another when nothing else is to be done; an appendix is the text of its <noscript>,
// which costs nothing, until it is opened.
Object.assign(lesson, (() => {
  const NEAR = "1200px";
  const CHAPTER = "main > .chapter";
  const known = []; // [selector, build], in the order in which scripts said them
  const waiting = new Map(); // element -> what is still to be built for it
  const idle = window.requestIdleCallback ?? ((work) => setTimeout(() => work({ timeRemaining: () => 0 }), 20));
  let working = false;

  const finish = (element) => {
    const builds = waiting.get(element) ?? [];
    waiting.delete(element);
    near.unobserve(element);
    for (const build of builds) build(element);
  };
  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting) finish(target);
  }, { rootMargin: NEAR });

  const precedes = (a, b) => a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING;
  const work = (deadline) => {
    while (waiting.size) {
      finish([...waiting.keys()].reduce((a, b) => (precedes(a, b) ? a : b)));
      if (deadline.timeRemaining() < 15) break;
    }
    working = waiting.size > 0;
    if (working) idle(work);
  };

  // Builds what a selector finds: in a chapter later, in an appendix when it is opened, else now.
  const part = (selector, build) => {
    known.push([selector, build]);
    for (const element of document.querySelectorAll(selector)) {
      if (element.closest(CHAPTER)) {
        waiting.set(element, [...(waiting.get(element) ?? []), build]);
        near.observe(element);
      } else build(element);
    }
    if (!working && waiting.size) idle(work);
    working = waiting.size > 0;
  };

  // Nothing down to an element will change its place any more; without one, nothing at all.
  const ready = (until = null) => {
    for (const element of [...waiting.keys()]) {
      if (!until || element === until || precedes(element, until)) finish(element);
    }
  };

  const unpack = (section) => {
    const kept = section?.querySelector(":scope > noscript");
    if (!kept) return;
    const made = document.createElement("template");
    made.innerHTML = kept.textContent;
    lesson.learn(made.content);
    for (const script of made.content.querySelectorAll("script:not([type])")) {
      const own = document.createElement("script"); // one that was parsed as text does not run
      own.textContent = script.textContent;
      script.replaceWith(own);
    }
    kept.replaceWith(made.content);
    for (const [selector, build] of known) for (const element of section.querySelectorAll(selector)) build(element);
    lesson.resized(section);
  };

  // An element by its id, also of an appendix that was not opened yet.
  const find = (id) => {
    const packed = [...document.querySelectorAll("main > .appendix > noscript")];
    const there = document.getElementById(id);
    const kept = packed.find((each) => (there ? each.parentElement === there : each.textContent.includes(` id="${id}"`)));
    unpack(kept?.parentElement);
    return document.getElementById(id);
  };

  // What Python deflated, as text.
  const inflated = (base64) => {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).text();
  };
  const unpacked = (name) => inflated(document.getElementById(`${name}-data`).textContent);

  addEventListener("beforeprint", () => ready());
  return { part, ready, find, inflated, unpacked };
})());
