"use strict";
// Links to what the reader looks at, one part of the page in a frame of its own, and its colours.
lesson.sharing = (() => {
  const root = document.documentElement;
  const say = (key, facts) => lesson.text("sharing", key, facts);
  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };

  // --- links --------------------------------------------------------------------------------------
  // The clipboard needs a secure page; older ways need text that is selected: `menu` shows it then.
  const copy = async (text, menu) => {
    menu.querySelector("textarea")?.remove();
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      const area = make("textarea", { readonly: "", rows: 4 });
      area.value = text;
      menu.append(area);
      area.select();
      if (!document.execCommand("copy")) return false;
      area.remove();
      return true;
    }
  };

  // What can stand alone: a figure, or a part that answers, by its id.
  const whole = (element) => element.closest("figure[id]") ?? element.closest("[data-part]");

  const worded = (element) => {
    const own = element?.querySelector(`.say[lang="${lesson.language()}"]`) ?? element;
    return own?.textContent.trim().replace(/\s+/g, " ") ?? "";
  };
  const titled = (target) => {
    const caption = target.querySelector(":scope > figcaption > span, :scope > figcaption");
    return worded(caption ?? target.closest("section")?.querySelector("h2")) || document.title;
  };
  const escaped = (text) => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
  const TEXTS = {
    link: (target) => lesson.address.link(target.id),
    embed: (target) =>
      `<iframe src="${escaped(lesson.address.frame(target.id))}" title="${escaped(titled(target))}" loading="lazy" ` +
      `style="width:100%;height:${Math.ceil(target.offsetHeight) + 90}px;border:0"></iframe>`,
  };
  // Copies a link to an element, or the frame that shows it, and returns what to say of that.
  const share = async (target, key, menu) => {
    const done = await copy(TEXTS[key](target), menu);
    const area = menu.querySelector("textarea");
    if (area) area.setAttribute("aria-label", say(key));
    const local = key === "embed" && location.protocol === "file:" ? [say("local")] : [];
    return [say(done ? `${key}_copied` : "selected"), ...local].join(" ");
  };

  // --- one part alone -----------------------------------------------------------------------------
  const name = lesson.address.alone();
  if (name) {
    const found = lesson.find(name);
    const target = found?.matches("main figure, main [data-part], header [data-part]") ? whole(found) : null;
    const origin = make("a", { target: "_blank", rel: "noopener" });
    const place = make("main", { class: "place" }, target ?? make("p"), make("p", { class: "origin" }, origin));
    const speak = () => {
      if (!target) place.firstElementChild.textContent = say("none");
      origin.textContent = `${say("from")} ${document.title}`;
      lead();
    };
    const lead = () => {
      origin.href = lesson.address.link(target ? target.id : "");
    };
    origin.addEventListener("click", lead); // to what is shown by then
    document.body.prepend(place);
    lesson.onLanguage(speak);
    speak();
  }
  root.classList.toggle("alone", Boolean(name));

  // --- colours ------------------------------------------------------------------------------------
  const KEY = "tinygrad-lstm theme";
  const THEMES = ["system", "light", "dark"];
  const callbacks = [];
  let theme = root.dataset.theme ?? "system";
  const button = document.querySelector(".switch .theme");
  const paint = (wanted) => {
    if (wanted === "system") delete root.dataset.theme;
    else root.dataset.theme = wanted;
    for (const callback of callbacks) callback();
  };
  const label = () => {
    const words = say("theme", { theme: say(theme) });
    button.dataset.theme = theme;
    button.title = words;
    button.setAttribute("aria-label", words);
  };
  if (button) {
    button.addEventListener("click", () => {
      theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
      paint(theme);
      label();
      lesson.announce(button.title);
      try {
        localStorage.setItem(KEY, theme);
      } catch {
        // it holds until the page is closed
      }
    });
    lesson.onLanguage(label);
    label();
    button.hidden = false;
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => paint(theme));
  addEventListener("beforeprint", () => paint("light")); // on paper
  addEventListener("afterprint", () => paint(theme));

  return { copy, share, whole, onTheme: (callback) => callbacks.push(callback) };
})();
