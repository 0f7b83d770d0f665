"use strict";
// Slides: one at a time, its parts step by step. Without this script all of them stand below one another.
(() => {
  const slides = [...document.querySelectorAll(".slide")];
  const parts = slides.map((slide) => [...slide.querySelectorAll(".part")]);
  const announcement = document.getElementById("announcement");
  const buttons = Object.fromEntries(["previous", "next", "notes", "window"].map((id) => [id, document.getElementById(id)]));
  let at = 0, step = 0, speaker = null;

  const words = (element) => {
    const copy = element.cloneNode(true), tag = document.documentElement.lang;
    for (const said of copy.querySelectorAll(".say")) if (said.lang !== tag) said.remove();
    return copy;
  };
  const tell = () => {
    if (!speaker || speaker.closed) return;
    const page = speaker.document;
    page.title = document.title;
    page.documentElement.lang = document.documentElement.lang;
    page.body.replaceChildren();
    const put = (tag, content) => {
      const made = page.createElement(tag);
      for (const child of content.childNodes) made.append(page.importNode(child, true));
      page.body.append(made);
    };
    for (const k of [at, at + 1]) {
      if (!slides[k]) continue;
      put(k === at ? "h1" : "h2", words(slides[k].querySelector("h1, h2")));
      put("p", words(slides[k].querySelector(".notes")));
    }
    const place = page.createElement("p");
    place.textContent = `${at + 1} / ${slides.length} · ${step} / ${parts[at].length}`;
    page.body.append(place);
  };
  const show = (said = true) => {
    slides.forEach((slide, k) => slide.classList.toggle("current", k === at));
    parts[at].forEach((part, k) => {
      part.classList.toggle("seen", k < step);
      part.toggleAttribute("aria-hidden", k >= step);
      if (k >= step) part.setAttribute("aria-hidden", "true");
    });
    if (said) announcement.textContent = words(step ? parts[at][step - 1] : slides[at].querySelector("h1, h2")).textContent.trim();
    history.replaceState(null, "", `#slide-${at + 1}`);
    tell();
  };
  const go = (slide, all = false) => {
    at = Math.min(Math.max(slide, 0), slides.length - 1);
    step = all ? parts[at].length : 0;
    scrollTo(0, 0);
    show();
  };
  const on = () => {
    if (step < parts[at].length) { step++; show(); } else if (at + 1 < slides.length) go(at + 1);
  };
  const back = () => {
    if (step > 0) { step--; show(); } else if (at > 0) go(at - 1, true);
  };
  const note = () => buttons.notes.setAttribute("aria-pressed", String(document.body.classList.toggle("noted")));
  const open = () => {
    speaker = window.open("", "speaker-notes", "width=560,height=480");
    if (!speaker) { if (!document.body.classList.contains("noted")) note(); return; }
    speaker.document.body.style.cssText = "font: 20px/1.5 system-ui, sans-serif; margin: 1.5rem; color: #1f2731";
    speaker.document.addEventListener("keydown", key);
    tell();
  };
  const keys = {
    ArrowRight: on, ArrowDown: on, PageDown: on, " ": on, Enter: on, ArrowLeft: back, ArrowUp: back, PageUp: back, Backspace: back,
    Home: () => go(0), End: () => go(slides.length - 1), n: note, N: note, w: open, W: open,
  };
  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
    if (event.target.closest?.("input") || ([" ", "Enter"].includes(event.key) && event.target.closest?.("button"))) return;
    event.preventDefault();
    (event.key === " " && event.shiftKey ? back : keys[event.key])();
  }
  document.addEventListener("keydown", key);
  let from = null;
  document.addEventListener("touchstart", (event) => { from = event.changedTouches[0]; }, { passive: true });
  document.addEventListener("touchend", (event) => {
    if (!from || event.target.closest("button, label, a")) return;
    const to = event.changedTouches[0], across = to.clientX - from.clientX, down = to.clientY - from.clientY;
    if (Math.abs(down) > 40 && Math.abs(down) > Math.abs(across)) return;
    if (Math.abs(across) > 40) across < 0 ? on() : back();
    else if (Math.abs(across) < 10 && Math.abs(down) < 10) to.clientX < innerWidth / 3 ? back() : on();
  });
  buttons.previous.addEventListener("click", back);
  buttons.next.addEventListener("click", on);
  buttons.notes.addEventListener("click", note);
  buttons.window.addEventListener("click", open);
  for (const input of document.querySelectorAll(".languages input")) {
    input.addEventListener("change", () => { document.documentElement.lang = input.value; input.blur(); show(false); });
  }
  const chosen = document.querySelector(".languages input:checked");
  if (chosen) document.documentElement.lang = chosen.value;
  document.body.classList.add("playing");
  at = Math.min(Math.max(Number(location.hash.replace("#slide-", "")) - 1 || 0, 0), slides.length - 1);
  show(false);
})();
