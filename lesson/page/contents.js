"use strict";
// Appendices are pages of their own: the address chooses one, and hides the lesson meanwhile. The
// contents say where the reader is.
(() => {
  const root = document.documentElement;
  const appendices = [...document.querySelectorAll("main > .appendix")];
  const chapters = [...document.querySelectorAll("main > .chapter")];
  const links = [...document.querySelectorAll("nav.contents a")];
  const address = () => decodeURIComponent(location.hash.slice(1)).split("?")[0];

  const open = (name) => {
    const target = name && lesson.find(name);
    const appendix = target && target.closest("main > .appendix");
    for (const section of appendices) section.classList.toggle("open", section === appendix);
    root.classList.toggle("in-appendix", Boolean(appendix));
    if (target && !appendix) lesson.ready(target);
    if (appendix || (target && target.closest("main, header"))) target.scrollIntoView({ behavior: "instant" });
    mark();
  };
  const mark = () => {
    const past = chapters.filter((section) => section.getBoundingClientRect().top < innerHeight / 3);
    const here = appendices.find((section) => section.classList.contains("open")) || past.at(-1);
    for (const link of links) {
      const current = here && link.hash === `#${here.id}`;
      if (current) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    const read = root.scrollHeight - innerHeight;
    root.style.setProperty("--read", read > 0 ? (scrollY / read).toFixed(3) : 0);
  };
  addEventListener("hashchange", () => {
    const name = address();
    if (lesson.find(name)) open(name);
  });
  addEventListener("scroll", mark, { passive: true });
  if (lesson.find(address())) open(address());
  else mark();
})();
