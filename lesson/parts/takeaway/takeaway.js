"use strict";
// Taking away: a button beside every equation and figure opens the forms in which it can be had.
// An equation is copied as LaTeX, Unicode or MathML, a figure downloaded as SVG or TikZ.
(() => {
  const PART = "takeaway";
  const found = document.getElementById(`${PART}-data`);
  if (!found) return;
  const { before, after, names, pictures } = JSON.parse(found.textContent);
  const SHARED = ["link", "embed"];
  const say = (key, facts) => lesson.text(["part", ...SHARED].includes(key) ? "sharing" : PART, key, facts);

  const filled = (element, attributes = {}, ...children) => {
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const make = (tag, ...rest) => filled(document.createElement(tag), ...rest);
  const draw = (tag, ...rest) => filled(document.createElementNS("http://www.w3.org/2000/svg", tag), ...rest);

  // --- equations --------------------------------------------------------------------------------
  // A page's colours are LaTeX's with the option HTML.
  const latex = (formula) =>
    formula.dataset.latex.replace(/\\textcolor\{#(\w{6})\}/g, (whole, hex) => `\\textcolor[HTML]{${hex.toUpperCase()}}`);
  const mathml = (formula) =>
    [...formula.querySelectorAll("math")].map((math) => {
      const copy = math.cloneNode(true);
      for (const element of copy.querySelectorAll("[class]")) element.removeAttribute("class");
      return new XMLSerializer().serializeToString(copy);
    }).join("\n");
  const FORMS = { latex, unicode: (formula) => formula.dataset.unicode, mathml };

  const copied = async (formula, key, menu) => {
    const kind = say(key);
    const done = await lesson.sharing.copy(FORMS[key](formula), menu);
    menu.querySelector("textarea")?.setAttribute("aria-label", kind);
    if (done) menu.querySelector(`[data-form="${key}"]`).focus();
    return say(done ? "copied" : "selected", { kind });
  };

  // --- figures ----------------------------------------------------------------------------------
  // The SVG alone: every colour an attribute, in the light palette on white, and its own glyphs.
  const PAINTS = { fill: "rgb(0, 0, 0)", stroke: "none", "stroke-width": "1px", opacity: "1" };
  const standalone = (svg) => {
    const copy = svg.cloneNode(true);
    const theme = svg.dataset.theme;
    svg.dataset.theme = "light";
    const drawn = [...svg.querySelectorAll("*")];
    [...copy.querySelectorAll("*")].forEach((element, k) => {
      const style = getComputedStyle(drawn[k]);
      const group = element.localName === "g";
      for (const [name, usual] of Object.entries(PAINTS)) {
        element.removeAttribute(name);
        const value = style.getPropertyValue(name);
        if ((!group || name === "opacity") && value !== usual) element.setAttribute(name, value);
      }
      element.removeAttribute("style");
    });
    if (theme === undefined) delete svg.dataset.theme;
    else svg.dataset.theme = theme;

    const glyphs = new Set([...copy.querySelectorAll("use")].map((use) => use.getAttribute("href").slice(1)));
    const kept = [...glyphs].filter((id) => !copy.querySelector(`#${CSS.escape(id)}`));
    const defs = draw("defs", {}, ...kept.map((id) => document.getElementById(id).cloneNode(true)));
    const { x, y, width, height } = svg.viewBox.baseVal;
    const { caption, text } = said(svg);
    copy.prepend(
      draw("title", {}, caption), draw("desc", {}, text), defs,
      draw("rect", { x, y, width, height, fill: "#ffffff" })
    );
    for (const name of ["style", "aria-labelledby"]) copy.removeAttribute(name);
    return `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLSerializer().serializeToString(copy)}\n`;
  };
  // What the page says about a figure, in its language.
  const said = (svg) => {
    const worded = (element) =>
      (element?.querySelector(`.say[lang="${lesson.language()}"]`) ?? element)?.textContent.trim() ?? "";
    const named = document.getElementById(svg.getAttribute("aria-labelledby") ?? "");
    return { caption: worded(named), text: worded(svg.closest("figure")?.querySelector("figcaption details p")) };
  };
  // The TikZ of all figures, deflated in the page.
  const inflated = async () => JSON.parse(await lesson.inflated(pictures));
  const nameOf = (svg) => (names.includes(svg.id) ? svg.id : svg.id.replace(/-\d+$/, ""));
  const FILES = {
    svg: (svg) => [standalone(svg), "svg", "image/svg+xml"],
    tikz: async (svg) => [before + (await inflated())[nameOf(svg)] + after, "tex", "application/x-tex"],
  };
  const saved = async (svg, key, menu) => {
    if (!(key in FILES)) return lesson.sharing.share(lesson.sharing.whole(svg), key, menu);
    const [text, ending, type] = await FILES[key](svg);
    const file = `${nameOf(svg)}.${ending}`;
    const url = URL.createObjectURL(new Blob([text], { type }));
    make("a", { href: url, download: file }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
    return say("saved", { file });
  };

  // --- buttons ------------------------------------------------------------------------------------
  const word = (button, title) => {
    button.title = say(title);
    button.setAttribute("aria-label", say(title));
  };
  lesson.onLanguage(() => {
    for (const title of ["equation", "figure", "part", "link"]) {
      for (const button of document.querySelectorAll(`.take.${title}`)) word(button, title);
    }
  });
  const open = new Set();
  const equip = (target, title, forms, act) => {
    const box = make("div", { class: "takeaway" });
    const button = make("button", { type: "button", class: `take ${title}`, "aria-expanded": "false" });
    word(button, title);
    let menu = null;
    const close = () => {
      menu?.remove();
      menu = null;
      open.delete(close);
      button.setAttribute("aria-expanded", "false");
    };
    const show = () => {
      for (const other of [...open]) other();
      const status = make("span", { class: "said" });
      const choices = forms.map((key) => {
        const choice = make("button", { type: "button", "data-form": key }, say(key));
        choice.addEventListener("click", async () => {
          const told = await act(target, key, menu);
          status.textContent = told;
          lesson.announce(told);
        });
        return choice;
      });
      menu = make("div", { class: "forms", role: "group", "aria-label": say(title) }, ...choices, status);
      box.append(menu);
      open.add(close);
      button.setAttribute("aria-expanded", "true");
      choices[0].focus();
      if (choices.length === 1) choices[0].click();
    };
    button.addEventListener("click", () => (menu ? close() : show()));
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !menu) return;
      close();
      button.focus();
    });
    box.append(button);
    return box;
  };

  const shared = (target, key, menu) => lesson.sharing.share(target, key, menu);

  // The box stands before what scrolls sideways, so that it stays where it is.
  const within = (root, selector) => [
    ...(root.matches?.(selector) ? [root] : []), ...root.querySelectorAll(selector),
  ];
  const enhance = (root) => {
    for (const formula of within(root, "[data-latex]")) {
      if (formula.previousElementSibling?.matches(".takeaway")) continue;
      formula.before(equip(formula, "equation", Object.keys(FORMS), copied));
    }
    for (const svg of within(root, "svg.viz")) {
      const place = svg.closest(".scroll"); // signs within a table or text have none
      if (!place || !names.includes(nameOf(svg)) || place.previousElementSibling?.matches(".takeaway")) continue;
      const whole = lesson.sharing.whole(svg)?.id ? SHARED : [];
      place.before(equip(svg, "figure", [...Object.keys(FILES), ...whole], saved));
    }
    for (const heading of within(root, "main > section > h2")) {
      if (!heading.nextElementSibling?.matches(".takeaway")) heading.after(equip(heading.parentElement, "link", ["link"], shared));
    }
    for (const part of within(root, "[data-part][id], main figure[id]:not(.unit)")) {
      if (part.parentElement.closest("figure, [data-part]") || part.matches(".question")) continue;
      const first = part.matches("figure") ? part.querySelector(":scope > .scroll, :scope > .view") : part;
      if (first && !first.previousElementSibling?.matches(".takeaway")) first.before(equip(part, "part", SHARED, shared));
    }
  };
  // A chapter waits until it is near; what is added later, such as an appendix, is seen below.
  lesson.part("main > section, main > [data-part], main.place, body > header", enhance);
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) {
      for (const node of addedNodes) {
        if (node.nodeType === Node.ELEMENT_NODE && !node.matches(".takeaway, .takeaway *")) enhance(node);
      }
    }
  }).observe(document.body, { childList: true, subtree: true });
})();
