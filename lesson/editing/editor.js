"use strict";
// A text field for code: numbers beside its lines, marks on some, Tab and Enter as programmers have
// them. It stays a <textarea>: every keyboard, screen reader and the browser's own undo work.
const makeEditor = (sheet, changed) => {
  const area = sheet.querySelector("textarea");
  const numbers = sheet.querySelector(".numbers");
  const marks = sheet.querySelector(".marks");
  const INDENT = "    ";
  let marked = []; // [line, class]
  let leaving = false; // Esc was pressed: the next Tab leaves

  const startOf = (line) => area.value.split("\n").slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0);

  const follow = () => {
    numbers.scrollTop = area.scrollTop;
    marks.style.transform = `translateY(${-area.scrollTop}px)`;
  };
  const draw = () => {
    const count = area.value.split("\n").length;
    const wrong = new Set(marked.filter(([, kind]) => kind === "error").map(([line]) => line));
    numbers.replaceChildren();
    for (let line = 1; line <= count; line += 1) {
      const number = document.createElement(wrong.has(line) ? "b" : "span");
      number.textContent = line;
      numbers.append(number, "\n");
    }
    numbers.append("\n\n");
    const style = getComputedStyle(area);
    marks.replaceChildren(...marked.filter(([line]) => line <= count).map(([line, kind]) => {
      const mark = document.createElement("span");
      mark.className = kind;
      mark.style.top = `calc(${style.paddingTop} + ${line - 1} * var(--line))`;
      return mark;
    }));
    follow();
  };

  // Puts a text in the place of another so that the browser can undo it.
  const put = (text, start, end) => {
    const focused = document.activeElement;
    area.focus({ preventScroll: true });
    area.setSelectionRange(start, end);
    const done = text ? document.execCommand("insertText", false, text)
      : start === end || document.execCommand("delete");
    if (!done || area.value.slice(start, start + text.length) !== text) area.setRangeText(text, start, end, "end");
    if (focused === area) return;
    area.blur();
    if (focused instanceof HTMLElement) focused.focus({ preventScroll: true });
  };

  // Takes over a text; only what differs is replaced, and the caret stays where it was in the rest.
  const take = (text) => {
    const old = area.value;
    if (old === text) return;
    let before = 0;
    const shorter = Math.min(old.length, text.length);
    while (before < shorter && old[before] === text[before]) before += 1;
    let after = 0;
    while (after < shorter - before && old[old.length - 1 - after] === text[text.length - 1 - after]) after += 1;
    const { selectionStart, selectionEnd, scrollTop, scrollLeft } = area;
    put(text.slice(before, text.length - after), before, old.length - after);
    const moved = (place) => (place <= before ? place : Math.max(before, place + text.length - old.length));
    area.setSelectionRange(moved(selectionStart), moved(selectionEnd));
    [area.scrollTop, area.scrollLeft] = [scrollTop, scrollLeft];
    draw();
  };

  // Changes every line that the selection touches.
  const eachLine = (change) => {
    const { selectionStart: from, selectionEnd: to, value } = area;
    const start = value.lastIndexOf("\n", from - 1) + 1;
    const last = to > from && value[to - 1] === "\n" ? to - 1 : to;
    const found = value.indexOf("\n", last);
    const end = found < 0 ? value.length : found;
    const lines = value.slice(start, end).split("\n");
    const made = change(lines);
    const text = made.join("\n");
    if (text === value.slice(start, end)) return;
    const first = made[0].length - lines[0].length;
    put(text, start, end);
    if (from === to) area.setSelectionRange(Math.max(start, from + first), Math.max(start, from + first));
    else area.setSelectionRange(start, start + text.length);
  };
  const outdented = (lines) => lines.map((line) => line.replace(/^(\t| {1,4})/, ""));
  const indented = (lines) => lines.map((line) => (line ? INDENT + line : line));
  const commented = (lines) => {
    const full = lines.filter((line) => line.trim());
    if (full.every((line) => /^\s*#/.test(line))) return lines.map((line) => line.replace(/^(\s*)# ?/, "$1"));
    const depth = Math.min(...full.map((line) => line.search(/\S/)));
    return lines.map((line) => (line.trim() ? `${line.slice(0, depth)}# ${line.slice(depth)}` : line));
  };

  area.addEventListener("keydown", (event) => {
    const { selectionStart: from, selectionEnd: to, value } = area;
    const command = event.ctrlKey || event.metaKey;
    if (event.isComposing) return;
    if (event.key === "Escape") {
      leaving = true;
      return;
    }
    if (event.key === "Tab" && !leaving && !command && !event.altKey) {
      event.preventDefault();
      if (event.shiftKey) eachLine(outdented);
      else if (value.slice(from, to).includes("\n")) eachLine(indented);
      else {
        const column = from - (value.lastIndexOf("\n", from - 1) + 1);
        put(" ".repeat(INDENT.length - (column % INDENT.length)), from, to);
      }
    } else if (event.key === "Enter" && !command && !event.altKey && !event.shiftKey) {
      event.preventDefault();
      const line = value.slice(value.lastIndexOf("\n", from - 1) + 1, from);
      const deeper = /:\s*(#.*)?$/.test(line) ? INDENT : "";
      put(`\n${line.match(/^[ \t]*/)[0]}${deeper}`, from, to);
    } else if (command && event.key === "/") {
      event.preventDefault();
      eachLine(commented);
    }
    if (!["Shift", "Control", "Alt", "Meta"].includes(event.key)) leaving = false;
  });
  area.addEventListener("input", () => {
    draw();
    changed();
  });
  area.addEventListener("scroll", follow);
  new ResizeObserver(draw).observe(area);

  return {
    area, take,
    begin: (text) => { // nothing before it can be brought back
      area.value = text;
      area.setSelectionRange(0, 0);
      draw();
    },
    mark: (lines) => {
      marked = lines;
      area.setAttribute("aria-invalid", String(lines.some(([, kind]) => kind === "error")));
      draw();
    },
    go: (line) => {
      const start = startOf(line);
      area.focus();
      area.setSelectionRange(start, start);
      const height = parseFloat(getComputedStyle(area).lineHeight);
      area.scrollTop = Math.max(0, (line - 4) * height);
      area.setSelectionRange(start, start + area.value.split("\n")[line - 1].length);
    },
  };
};
