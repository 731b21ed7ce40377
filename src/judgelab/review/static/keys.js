// The keyboard, and drafts kept in this browser until they are saved. Every page works without.
"use strict";

const form = document.getElementById("verdict");
const page = document.body.dataset;
const field = (id) => document.getElementById(id);
const draftOf = (item, content) => `judgelab ${page.expert} ${content} ${item}`;

// A saved label needs its draft no more. The banner is there only after the label is on disk.
const saved = document.querySelector("[data-saved]");
if (saved && page.expert) {
  localStorage.removeItem(draftOf(saved.dataset.saved, saved.dataset.content));
}

document.addEventListener("keydown", (event) => {
  const at = event.target;
  const typing = at.matches("textarea, input:not([type=radio]):not([type=checkbox]), select");
  if (event.key === "Escape" && typing) {
    at.blur();
    return;
  }
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    const own = at.closest("form[method=post]") || form;
    if (own) {
      event.preventDefault();
      send(own, "next");
    }
    return;
  }
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const inside = at.matches("input, summary, pre, [role=region]");
  const arrow = event.key.startsWith("Arrow");
  const act = actions[event.key];
  if (act && !(arrow && inside)) {
    event.preventDefault();
    act();
  }
});

const choose = (verdict) => () => {
  const radio = form && field(`v-${verdict}`);
  if (!radio) return;
  radio.checked = true;
  keep();
  if (verdict === "cannot_judge") field("missing").focus();
};

const actions = {
  p: choose("pass"),
  f: choose("fail"),
  c: choose("cannot_judge"),
  e: () => form && field("critique").focus(),
  b: () => {
    if (!form) return;
    field("better").checked = !field("better").checked;
    keep();
  },
  u: () => field("undo") && send(field("undo")),
  j: () => move("after"),
  k: () => move("before"),
  ArrowRight: () => move("after"),
  ArrowLeft: () => move("before"),
  ...Object.fromEntries(["1", "2", "3", "4"].map((key) => [key, () => pick(key)])),
  r: () => field("rubric") && (field("rubric").open = !field("rubric").open),
  m: () => field("causes") && (field("m-1") || field("new-mode")).focus(),
  "/": () => field("words") && field("words").focus(),
};

// A second press of the same number saves.
function pick(key) {
  const radio = field(`s-${key}`);
  if (!radio) return;
  if (radio.checked) send(radio.form);
  radio.checked = true;
}

// Moving on saves what has a verdict and was changed; without a verdict the draft stays.
function move(where) {
  const link = field(where);
  if (form && state() !== shown && form.elements.verdict.value) {
    send(form, where === "after" ? "after" : "previous");
  } else if (link) {
    link.click();
  }
}

let sent = false;
function send(which, go) {
  if (sent) return;
  if (go) {
    const chosen = document.createElement("input");
    Object.assign(chosen, { type: "hidden", name: "go", value: go });
    which.append(chosen);
  }
  which.requestSubmit();
}

function state() {
  return JSON.stringify([
    form.elements.verdict.value,
    form.elements.critique.value,
    form.elements.missing.value,
    form.elements.could_be_better.checked,
  ]);
}

let shown = "";
function keep() {
  const name = draftOf(page.item, page.content);
  if (state() === shown) localStorage.removeItem(name);
  else localStorage.setItem(name, JSON.stringify({ state: state(), head: form.elements.head.value }));
}

// A draft of an older version keeps that version: saving it then shows both, and loses neither.
function restore() {
  const draft = JSON.parse(localStorage.getItem(draftOf(page.item, page.content)) || "null");
  if (!draft || draft.state === shown) return;
  const [verdict, critique, missing, better] = JSON.parse(draft.state);
  for (const radio of form.elements.verdict) radio.checked = radio.value === verdict;
  form.elements.critique.value = critique;
  form.elements.missing.value = missing;
  form.elements.could_be_better.checked = better;
  form.elements.head.value = draft.head;
  field("draft").hidden = false;
}

if (form && page.item) {
  shown = state();
  if (field("draft") && !document.querySelector(".wrong")) restore();
  form.addEventListener("input", keep);
  field("discard").addEventListener("click", (event) => {
    localStorage.removeItem(draftOf(page.item, page.content));
    if (event.target.matches("button")) location.reload();
  });
}
document.addEventListener("submit", () => {
  sent = true;
});
// Back from the history, the page is as it was left: it may send again.
window.addEventListener("pageshow", () => {
  sent = false;
});
