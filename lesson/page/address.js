"use strict";
// What the reader looks at stands in the address: #steps?lang=ko&char=9&unit=71. A part keeps what
// it shows there under a name. What an address says is only compared with what there is, and never
// becomes markup; what makes no sense is passed over.
lesson.address = (() => {
  const NAMES = ["lang", "char", "unit", "event", "cells"]; // in this order
  const SPACING = 350; // ms: browsers refuse to be told more often
  const whole = Boolean(document.querySelector("main > .chapter")); // and no part on its own
  const kept = new Map();
  const waiting = new Map(); // what the address said to parts that are not there yet
  let alone = ""; // the figure or part that stands in a frame of its own
  let place = "";
  let go = () => {};
  let seen = null;
  let first = true;
  let back = false; // the entry is one of ours: a reload, Back or Forward
  let reading = false;

  const decoded = (text) => {
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  };
  // {place, said}: the name of a chapter or of anything in it, and what is said by name. An address
  // of a language alone, #ko, chooses it.
  const parse = (hash) => {
    const [first, ...rest] = hash.slice(1).split("?");
    const query = first.includes("=") ? [first, ...rest].join("&") : rest.join("&");
    const said = new Map(new URLSearchParams(query));
    const name = first.includes("=") ? "" : decoded(first);
    if (!lesson.languages.includes(name)) return { place: name, said };
    return { place: "", said: new Map([["lang", name], ...said]) };
  };

  // everything: the language, too, if it is the one in which the page opens
  const written = (where, everything) => {
    const said = NAMES.map((name) => {
      const own = kept.get(name)?.write(everything) ?? waiting.get(name);
      return own ? `${name}=${encodeURIComponent(own).replaceAll("%2C", ",")}` : "";
    });
    return [encodeURIComponent(where), said.filter(Boolean).join("&")].filter(Boolean).join("?");
  };
  const store = () => {
    const words = alone ? `embed=${encodeURIComponent(alone)}&${written("", true)}` : written(place, false);
    const hash = words && `#${words}`;
    const url = hash || location.pathname + location.search;
    if (hash === location.hash && history.state?.lesson) return;
    try {
      history.replaceState({ lesson: true }, "", url);
      seen = location.hash;
    } catch {
      // a frame whose address may not change, or one that was changed too often
    }
  };
  let last = -SPACING;
  let later = 0;
  const changed = () => {
    if (!whole || reading || later) return;
    const rest = last + SPACING - performance.now();
    const write = () => {
      later = 0;
      last = performance.now();
      store();
    };
    if (rest <= 0) write();
    else later = setTimeout(write, rest);
  };

  // Entries of our own say everything: what they leave out is as it was at first.
  const read = () => {
    if (location.hash === seen) return;
    seen = location.hash;
    const ours = Boolean(history.state?.lesson);
    back = ours;
    const found = parse(seen);
    const named = found.said.get("embed") ?? "";
    if (named !== alone && !first) return location.reload();
    alone = named;
    first = false;
    reading = true;
    if (ours) waiting.clear();
    for (const name of NAMES) {
      if (!found.said.has(name) && !ours) continue;
      if (kept.has(name)) kept.get(name).read(found.said.get(name) ?? null);
      else if (found.said.has(name)) waiting.set(name, found.said.get(name));
    }
    if (found.place || ours) {
      place = found.place;
      go(place, ours);
    }
    reading = false;
    return store();
  };

  // read(text) shows what the address says, or what was there at first if it says null; write()
  // tells what it is to say: nothing where all is as at first.
  const keep = (name, part) => {
    kept.set(name, part);
    if (waiting.has(name)) {
      reading = true;
      part.read(waiting.get(name));
      reading = false;
      waiting.delete(name);
    }
  };
  // A whole number from 1 to `most`, counted from 0; null if it is none.
  const counted = (text, most) => {
    const number = /^\d{1,9}$/.test(text ?? "") ? Number(text) : 0;
    return number >= 1 && number <= most ? number - 1 : null;
  };

  keep("lang", {
    read: (text) => lesson.choose(text ?? lesson.languages[0]),
    write: (everything) => (everything || lesson.language() !== lesson.languages[0] ? lesson.language() : ""),
  });
  lesson.onLanguage(changed);
  if (whole) {
    read();
    addEventListener("popstate", read);
    addEventListener("hashchange", read);
  }

  return {
    keep, changed, counted, parse,
    // the reader is now at the chapter, or the part of one, of this name
    at: (name) => {
      if (name === place) return;
      place = name;
      changed();
    },
    // visit(name, back) goes to a place: now, and when the address changes
    visits: (visit) => {
      go = visit;
      if (place) go(place, back);
    },
    alone: () => alone,
    link: (where = place) => `${location.href.split("#")[0]}#${written(where, true)}`,
    frame: (name) => `${location.href.split("#")[0]}#embed=${encodeURIComponent(name)}&${written("", true)}`,
  };
})();
