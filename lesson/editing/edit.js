"use strict";
// The page of `lesson --edit`: writes what is typed to the file, and shows what follows from it.
(() => {
  const PAUSE = 350; // ms without a key, after which the file is written
  const token = new URLSearchParams(location.search).get("token");
  const first = JSON.parse(document.getElementById("first-data").textContent);
  const say = (key, facts) => lesson.text("editing", `page.${key}`, facts);
  const one = (selector) => document.querySelector(selector);
  const [state, which, conflict, trouble, notes, outdated] = [
    ".saved", ".which", ".conflict", "#trouble", ".notes", ".outdated",
  ].map(one);
  const [take, keep, again] = [".take", ".keep", ".again"].map((name) => conflict.querySelector(name));
  const chooser = which.querySelector("select");

  let base = null; // the version of the file that the text was made from
  let saved = ""; // the text of that version
  let edition = 0; // of the file's texts, the one that was last heard of
  let disk = null; // what is on disk instead, while that is in question
  let saving = false;
  let timer = 0;
  let now = null; // the last news
  let told = ""; // the error that stands there
  let gone = false;

  const ask = async (path, body) => {
    const headers = { "X-Token": token };
    const options = { headers, cache: "no-store" };
    if (body) {
      options.method = "POST";
      headers["Content-Type"] = "application/json";
      options.body = JSON.stringify(body);
    }
    const answer = await fetch(path, options);
    return { status: answer.status, told: await answer.json() };
  };

  // --- the file ---------------------------------------------------------------------------------
  const dirty = () => editor.area.value !== saved;
  const showState = () => {
    let key = saving ? "saving" : dirty() || base === null ? "unsaved" : "saved";
    if (base === null && !dirty()) key = "running";
    if (key === "saved" && now?.running) key = "running";
    if (gone) key = "gone";
    state.dataset.state = key;
    state.textContent = say(key);
    one(".first").disabled = editor.area.value === first;
  };
  const question = (problem, ...ways) => {
    const old = conflict.hidden ? "" : conflict.dataset.problem;
    for (const button of [take, keep, again]) button.hidden = !ways.includes(button);
    if (old === problem) return;
    conflict.dataset.problem = problem;
    for (const line of conflict.querySelectorAll("[data-problem]")) line.hidden = line.dataset.problem !== problem;
    conflict.hidden = !problem;
  };
  const settle = (held) => {
    [base, saved, disk] = [held.version, held.text, null];
    question("");
  };
  const save = async (force = false) => {
    clearTimeout(timer);
    if (saving) {
      timer = setTimeout(save, PAUSE);
      return;
    }
    if ((disk || !dirty() || base === null) && !force) return;
    saving = true;
    showState();
    const text = editor.area.value;
    try {
      const { status, told: answer } = await ask("/save", { text, seen: force ? null : base });
      gone = status === 403;
      edition = Math.max(edition, answer.edition ?? 0);
      if (status === 200) settle({ version: answer.version, text });
      else if (status === 409) meet(answer.held);
      else if (status !== 403) question(answer.problem === "too_large" ? "too_large" : "unwritable", keep);
    } catch {
      gone = true;
    }
    saving = false;
    showState();
  };
  // What is on disk, against what stands here.
  const meet = (held) => {
    if (base === held.version) {
      if (disk) question("");
      disk = null;
      return;
    }
    if (base === null) {
      editor.begin(held.text);
      settle(held);
      if (held.problem && held.problem !== "deleted") question(held.problem);
      editor.area.readOnly = Boolean(held.problem) && held.problem !== "deleted";
      return;
    }
    disk = held;
    if (held.problem === "deleted") question("deleted", again);
    else if (held.problem) question(held.problem);
    else if (held.text === editor.area.value) settle(held);
    else if (!dirty()) {
      editor.take(held.text);
      settle(held);
    } else question("changed", take, keep);
    if (!held.problem) editor.area.readOnly = false;
  };
  const editor = makeEditor(one(".sheet"), () => {
    clearTimeout(timer);
    timer = setTimeout(save, PAUSE);
    showState();
  });
  editor.area.addEventListener("compositionstart", () => clearTimeout(timer));
  editor.area.addEventListener("compositionend", () => {
    clearTimeout(timer);
    timer = setTimeout(save, PAUSE);
  });
  one(".save").addEventListener("click", () => save());
  take.addEventListener("click", () => {
    const held = disk;
    editor.take(held.text);
    settle(held);
    showState();
    editor.area.focus();
  });
  for (const button of [keep, again]) {
    button.addEventListener("click", () => {
      save(true);
      editor.area.focus();
    });
  }
  one(".first").addEventListener("click", () => {
    editor.take(first);
    save();
    editor.area.focus();
  });
  addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s") {
      event.preventDefault();
      save();
    }
  });
  addEventListener("beforeunload", (event) => {
    if (dirty() && !gone) event.preventDefault();
  });
  chooser.addEventListener("change", () => ask("/choose", { cell: chooser.value }).catch(() => {}));

  // --- what follows from it ---------------------------------------------------------------------
  const words = ({ line, words: by }) => {
    const made = [];
    if (line) {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.line = line;
      button.textContent = say("line", { n: line });
      button.addEventListener("click", () => editor.go(line));
      made.push(button);
    }
    for (const [language, text] of Object.entries(by)) {
      const shown = document.createElement("pre");
      shown.className = "say";
      shown.lang = language;
      shown.textContent = text;
      made.push(shown);
    }
    return made;
  };
  const mark = () => {
    const lines = (now.notes ?? []).filter((note) => note.line).map((note) => [note.line, "note"]);
    if (now.error?.line) lines.push([now.error.line, "error"]);
    editor.mark(lines);
  };
  const showErrors = () => {
    const key = JSON.stringify([now.error, now.notes]);
    if (key === told) return;
    const runs = told && JSON.parse(told)[0] && !now.error;
    told = key;
    trouble.replaceChildren(...(now.error ? words(now.error) : []));
    notes.hidden = !now.notes.length;
    notes.replaceChildren(...now.notes.map((note) => {
      const item = document.createElement("li");
      item.append(...words(note));
      return item;
    }));
    mark();
    if (runs) lesson.announce(say("runs"));
  };
  const showHtml = (place, html) => {
    const open = [...place.querySelectorAll("details")].map((details) => details.open);
    place.innerHTML = html;
    place.querySelectorAll("details").forEach((details, k) => {
      details.open = open[k] ?? details.open;
    });
    place.classList.remove("frames");
    lesson.resized(place);
  };
  // A document of its own takes the old one's place when it knows how high it is.
  const showFrame = (place, name, key) => {
    if (place.querySelector("iframe:not(.next)")?.dataset.key === key) return;
    place.querySelector("iframe.next")?.remove();
    const frame = document.createElement("iframe");
    frame.className = "next";
    frame.dataset.key = key;
    frame.title = one(`#title-${name} [lang="${lesson.language()}"]`).textContent;
    frame.setAttribute("sandbox", "allow-scripts");
    frame.src = `/frame/${key}#${lesson.language()}`;
    place.classList.add("frames");
    place.append(frame);
  };
  addEventListener("message", (event) => {
    const frame = [...document.querySelectorAll("iframe")].find((each) => each.contentWindow === event.source);
    const height = Number(event.data?.height);
    if (!frame || !(height > 0)) return;
    frame.style.height = `${Math.min(height, 20000)}px`;
    if (frame.classList.contains("next")) {
      for (const other of [...frame.parentElement.children]) if (other !== frame) other.remove();
      frame.classList.remove("next");
    }
  });
  const sections = new Map([...document.querySelectorAll("[data-reading]")].map((section) => [
    section.dataset.reading, { section, place: section.querySelector(".shown"), run: 0 },
  ]));
  const showReadings = () => {
    for (const { name, run, html, frame } of now.readings) {
      const shown = sections.get(name);
      shown.run = run;
      if (frame) showFrame(shown.place, name, frame);
      else showHtml(shown.place, html);
    }
    let any = false;
    for (const { section, run } of sections.values()) {
      const old = run !== now.run;
      section.classList.toggle("old", old && run > 0 && !now.running);
      if (section.hasAttribute("aria-busy")) section.setAttribute("aria-busy", String(old && now.running));
      any ||= old && run > 0;
    }
    outdated.hidden = now.running || !any;
  };
  const showCells = () => {
    which.hidden = now.cells.length < 2;
    const names = [...chooser.options].map((option) => option.value);
    if (names.join() !== now.cells.join()) chooser.replaceChildren(...now.cells.map((name) => new Option(name, name)));
    chooser.value = now.cell;
  };
  const show = (news) => {
    now = news;
    if (!saving && now.edition >= edition) {
      edition = now.edition;
      meet(now.held);
    }
    showCells();
    showErrors();
    showReadings();
    showState();
  };
  lesson.onLanguage((language) => {
    for (const frame of document.querySelectorAll("iframe")) {
      frame.src = `${frame.src.split("#")[0]}#${language}`;
      frame.title = one(`#title-${frame.closest("section").id} [lang="${language}"]`).textContent;
    }
    for (const button of document.querySelectorAll("[data-line]")) button.textContent = say("line", { n: button.dataset.line });
    showState();
  });

  addEventListener("hashchange", () => lesson.choose(location.hash.slice(1)));
  lesson.choose(location.hash.slice(1));

  const visible = () => new Promise((resolve) => {
    if (!document.hidden) resolve();
    else document.addEventListener("visibilitychange", resolve, { once: true });
  });
  const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
  (async () => {
    let serial = 0;
    for (;;) {
      await visible();
      try {
        const { status, told: news } = await ask(`/news?after=${serial}`);
        gone = status === 403;
        if (status === 200) {
          serial = news.serial;
          show(news);
          continue;
        }
      } catch (error) {
        if (!(error instanceof TypeError)) throw error;
        gone = true;
      }
      showState();
      await pause(1000);
    }
  })();
})();
