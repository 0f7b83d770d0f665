"use strict";
// Appendices are pages of their own: the address chooses one, and hides the lesson meanwhile. The
// contents say where the reader is, and which chapters were read to their end.
(() => {
  const root = document.documentElement;
  const appendices = [...document.querySelectorAll("main > .appendix")];
  const chapters = [...document.querySelectorAll("main > .chapter")];
  const contents = document.querySelector("nav.contents");
  const links = () => document.querySelectorAll("nav.contents a, #contents-menu a");

  // --- where the reader is ----------------------------------------------------------------------
  let named = null; // what the address names, as long as it is in view
  const open = (name, back) => {
    const target = name && lesson.find(name);
    const appendix = target && target.closest("main > .appendix");
    for (const section of appendices) section.classList.toggle("open", section === appendix);
    root.classList.toggle("in-appendix", Boolean(appendix));
    const inside = appendix || (target && target.closest("main, header"));
    if (inside && !appendix) lesson.ready(target);
    for (let fold = target && target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    if (inside && !back) target.scrollIntoView({ behavior: "instant" });
    named = inside ? target : null;
    mark();
  };
  const inView = (element) => {
    const { top, bottom } = element.getBoundingClientRect();
    return top < innerHeight && bottom > 0;
  };
  const place = (here) => {
    if (named && inView(named)) return;
    named = null;
    lesson.address.at(here ? here.id : "");
  };
  const mark = () => {
    const read = root.scrollHeight - innerHeight;
    const past = chapters.filter((section) => section.getBoundingClientRect().top < innerHeight / 3);
    const appendix = appendices.find((section) => section.classList.contains("open"));
    const here = appendix ?? (past.length && scrollY >= read - 2 ? chapters.at(-1) : past.at(-1));
    for (const link of links()) {
      if (here && link.hash === `#${here.id}`) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    root.style.setProperty("--read", read > 0 ? (scrollY / read).toFixed(3) : 0);
    place(here);
  };

  // --- chapters that were read ------------------------------------------------------------------
  // By name, as long as the browser keeps it: it may refuse to.
  const KEY = "tinygrad-lstm chapters read";
  const done = new Set();
  try {
    for (const name of JSON.parse(localStorage.getItem(KEY)) ?? []) done.add(name);
  } catch {
    // nothing is kept, or something else is kept under this name
  }
  const check = () => {
    for (const link of links()) {
      const read = done.has(link.hash.slice(1));
      if (link.classList.contains("read") === read) continue;
      link.classList.toggle("read", read);
      link.querySelector(".unseen")?.remove();
      if (!read) continue;
      const words = document.createElement("span");
      words.className = "unseen";
      link.append(words);
    }
    for (const words of document.querySelectorAll("a.read > .unseen")) words.textContent = ` (${lesson.text("sharing", "read")})`;
  };
  const ends = new IntersectionObserver((entries) => {
    const news = entries.filter((entry) => entry.isIntersecting).map((entry) => entry.target.closest("section").id);
    if (!news.some((name) => !done.has(name))) return;
    for (const name of news) done.add(name);
    check();
    try {
      localStorage.setItem(KEY, JSON.stringify([...done]));
    } catch {
      // it is known until the page is closed
    }
  });
  for (const chapter of chapters) if (chapter.lastElementChild) ends.observe(chapter.lastElementChild);

  // --- the contents where there is no margin for them -------------------------------------------
  // What stays on the screen lies on the text there, so it is seen after one scrolled back only.
  const BACK = 2500; // ms
  let [last, hides] = [scrollY, 0];
  const back = () => {
    const upwards = scrollY < last && scrollY > innerHeight / 2;
    last = scrollY;
    if (!upwards) return;
    root.classList.add("back");
    clearTimeout(hides);
    hides = setTimeout(() => root.classList.remove("back"), BACK);
  };
  const menu = () => {
    const button = document.querySelector(".switch .menu");
    const made = document.createElement("nav");
    if (!button || !made.showPopover) return;
    const fill = () => {
      made.replaceChildren(...[...contents.children].map((child) => child.cloneNode(true)));
      for (const element of made.querySelectorAll("[id]")) element.removeAttribute("id");
      made.setAttribute("aria-label", button.innerText);
    };
    made.id = "contents-menu";
    made.popover = "auto";
    made.addEventListener("beforetoggle", (event) => {
      button.setAttribute("aria-expanded", event.newState === "open");
      if (event.newState !== "open") return;
      fill();
      mark();
    });
    made.addEventListener("click", (event) => event.target.closest("a") && made.hidePopover());
    button.after(made);
    button.popoverTargetElement = made;
    button.setAttribute("aria-expanded", "false");
    button.hidden = false;
  };

  if (contents) {
    addEventListener("scroll", mark, { passive: true });
    addEventListener("scroll", back, { passive: true });
    lesson.onLanguage(check);
    check();
    menu();
  }
  lesson.address.visits(open);
  mark();
})();
