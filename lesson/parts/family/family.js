"use strict";
// Two cells side by side: common lines dim, other lines bright, changed terms marked.
(() => {
  // The tokens of a formula: the smallest elements that stand in a row.
  const tokens = (element) =>
    [...element.children].flatMap((child) =>
      child.localName === "mrow" || child.localName === "math" ? tokens(child) : [child]);

  // Marks what is not in a longest common subsequence of two lists of tokens.
  const compare = (left, right) => {
    const a = left.map((x) => x.outerHTML);
    const b = right.map((x) => x.outerHTML);
    const table = Array.from({ length: a.length + 1 }, () => new Array(b.length + 1).fill(0));
    for (let i = a.length - 1; i >= 0; i -= 1) {
      for (let j = b.length - 1; j >= 0; j -= 1) {
        table[i][j] = a[i] === b[j]
          ? table[i + 1][j + 1] + 1
          : Math.max(table[i + 1][j], table[i][j + 1]);
      }
    }
    let [i, j] = [0, 0];
    while (i < a.length || j < b.length) {
      if (i < a.length && j < b.length && a[i] === b[j]) {
        i += 1;
        j += 1;
      } else if (j === b.length || (i < a.length && table[i + 1][j] >= table[i][j + 1])) {
        left[i].classList.add("changed");
        i += 1;
      } else {
        right[j].classList.add("changed");
        j += 1;
      }
    }
  };

  lesson.part('[data-part="family"]', async (part) => {
    const cells = document.createElement("template");
    cells.innerHTML = await lesson.unpacked("family");
    const sides = [...part.querySelectorAll(".side")].map((side) => ({
      select: side.querySelector("select"),
      shown: side.querySelector(".shown"),
    }));

    const verdict = part.querySelector(".verdict");
    const titles = new Map([...sides[0].select.options].map((option) => [option.value, JSON.parse(option.dataset.titles)]));
    let [count, found] = [0, "same"];

    const fill = ({ select, shown }, suffix) => {
      const template = cells.content.querySelector(`template[data-cell="${select.value}"]`);
      shown.replaceChildren(template.content.cloneNode(true));
      for (const element of shown.querySelectorAll("[id]")) element.id += suffix;
      const named = shown.querySelector("svg");
      named.setAttribute("aria-labelledby", named.getAttribute("aria-labelledby") + suffix);
      return new Map([...shown.querySelectorAll(".line")].map((line) => [line.dataset.name, line]));
    };

    const dim = (lines, others, { shown }) => {
      for (const [name, line] of lines) {
        const other = others.get(name);
        const same = other && other.dataset.number === line.dataset.number;
        line.classList.toggle("same", Boolean(same));
        line.classList.toggle("new", !other);
        if (same) continue;
        for (const shape of shown.querySelectorAll(`.node.eq-${CSS.escape(name)}`)) {
          shape.classList.add("changed");
        }
      }
    };

    // Cells that share no equation are not compared line by line: all of it would be marked.
    const show = (said) => {
      const [left, right] = sides.map((side, k) => fill(side, `-${k}`));
      const numbers = new Set([...left.values()].map((line) => line.dataset.number));
      const common = [...right.values()].some((line) => numbers.has(line.dataset.number));
      for (const line of [...left.values(), ...right.values()]) line.classList.toggle("alone", !common);
      if (common) {
        dim(left, right, sides[0]);
        dim(right, left, sides[1]);
        for (const [name, line] of left) {
          const other = right.get(name);
          if (other && other.dataset.number !== line.dataset.number) {
            compare(tokens(line), tokens(other));
          }
        }
      }
      count = part.querySelectorAll(".line:not(.same)").length;
      found = !common ? "nothing" : count ? "differ" : "same";
      tell();
      lesson.resized(part);
      if (said) lesson.announce(verdict.textContent);
    };
    const tell = () => {
      verdict.textContent = lesson.text("family", found, { count });
      for (const { select } of sides) {
        for (const option of select.options) {
          const title = titles.get(option.value)[lesson.language()];
          option.textContent = title ? `${option.value}: ${title}` : option.value;
        }
      }
    };

    // Two names of the lists, in the address.
    const first = sides.map(({ select }) => select.value).join();
    const pair = () => sides.map(({ select }) => select.value).join();
    lesson.address.keep("cells", {
      read: (text) => {
        const wanted = (text ?? first).split(",");
        if (wanted.length !== 2 || !wanted.every((name) => titles.has(name)) || wanted.join() === pair()) return;
        wanted.forEach((name, k) => {
          sides[k].select.value = name;
        });
        show(false);
      },
      write: () => (pair() === first ? "" : pair()),
    });
    for (const { select } of sides) {
      select.addEventListener("change", () => {
        show(true);
        lesson.address.changed();
      });
    }
    lesson.onLanguage(tell);
    part.querySelector(".none").hidden = true;
    part.querySelector(".sides").hidden = false;
    show(false);
  });
})();
