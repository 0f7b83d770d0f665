"use strict";
// What every part of the page uses: the language, texts, numbers, announcements.
const lesson = (() => {
  const root = document.documentElement;
  const radios = [...document.querySelectorAll('input[name="language"]')];
  const languages = radios.map((radio) => radio.value);
  const callbacks = [];
  const live = document.getElementById("announcement");
  const texts = {};
  const learn = (part) => {
    for (const script of part.querySelectorAll("script.texts")) {
      texts[script.dataset.texts] = JSON.parse(script.textContent);
    }
  };
  learn(document);

  const language = () => root.dataset.language;

  const text = (part, key, facts = {}, tag = language()) => {
    const known = texts[part] || {};
    const look = (file) => key.split(".").reduce((found, word) => found && found[word], file);
    const found = look(known[tag]) ?? look(known[languages[0]]);
    if (found === undefined) throw new Error(`no text ${part}: ${key}`);
    return found.replace(/\{(\w+)\}/g, (whole, name) => (name in facts ? facts[name] : whole));
  };

  // Four significant digits, as the page's tables write numbers: 0.1234, −2.5, 3.1e−7.
  const format = (number) => {
    if (number === null || number === undefined) return "·";
    if (Number.isNaN(number)) return "nan";
    if (!Number.isFinite(number)) return number > 0 ? "∞" : "−∞";
    const size = Math.abs(number);
    const small = size > 0 && (size < 1e-3 || size >= 1e6);
    const short = small ? number.toExponential(2) : String(Number(number.toPrecision(4)));
    return short.replace("e+", "e").replace(/-/g, "−");
  };

  const announce = (message) => {
    live.textContent = "";
    live.textContent = message;
  };

  // What the reader looks at: the first block that reaches below the top, and how far into it.
  const place = () => {
    for (const block of document.querySelectorAll("header > *, main section > *")) {
      const box = block.getBoundingClientRect();
      if (box.height && box.bottom > 0 && block.tagName !== "SECTION") {
        return { block, into: box.top < 0 ? box.top / box.height : box.top };
      }
    }
    return null;
  };
  const restore = ({ block, into }) => {
    const box = block.getBoundingClientRect();
    const wanted = into < 0 ? into * box.height : into;
    scrollBy({ top: box.top - wanted, behavior: "instant" });
  };

  const choose = (wanted) => {
    if (!languages.includes(wanted) || wanted === language()) return;
    const seen = scrollY > 0 ? place() : null;
    root.dataset.language = wanted;
    root.lang = wanted;
    for (const radio of radios) radio.checked = radio.value === wanted;
    document.title = document.querySelector(`h1 [lang="${wanted}"]`).textContent;
    for (const callback of callbacks) callback(wanted);
    if (seen) restore(seen);
  };

  // What scrolls can be scrolled by keyboard too; what does not is no stop of the Tab key.
  // Where there is more to the right, the edge fades.
  const more = (element) => {
    const rest = element.scrollWidth - element.clientWidth - element.scrollLeft;
    element.classList.toggle("more", rest > 2);
  };
  const watcher = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const tall = target.tagName === "PRE" && target.scrollHeight > target.clientHeight + 1;
      if (tall || target.scrollWidth > target.clientWidth + 1) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
      more(target);
    }
  });
  const resized = (part) => {
    for (const element of part.querySelectorAll(".scroll, .sample pre")) {
      element.addEventListener("scroll", () => more(element), { passive: true });
      watcher.observe(element);
    }
  };
  resized(document);

  // On paper nothing can be unfolded, so everything is, until it is printed.
  let unfolded = [];
  addEventListener("beforeprint", () => {
    unfolded = [...document.querySelectorAll("details:not([open])")];
    for (const details of unfolded) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of unfolded) details.open = false;
    unfolded = [];
  });

  for (const radio of radios) radio.addEventListener("change", () => choose(radio.value));
  root.dataset.script = "yes";
  root.dataset.language = languages[0];
  const remembered = radios.find((radio) => radio.checked); // as a reload keeps it
  if (remembered) choose(remembered.value);

  return {
    language, languages, choose, onLanguage: (callback) => callbacks.push(callback), text, format,
    announce, resized, learn,
  };
})();
