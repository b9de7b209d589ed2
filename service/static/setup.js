// The set-up form, quicker: everything here is also done by its buttons alone.
"use strict";

const PAUSE_MS = 400;
let isTyped = false;
let preview = 0;

const form = () => document.getElementById("setup");

function sent(button) {
  const data = new URLSearchParams(new FormData(form()));
  if (button) data.set("do", button.value);
  return data;
}

async function post(address, data) {
  const answer = await fetch(address, { method: "POST", body: data });
  return { address: answer.url, isPage: answer.ok, page: new DOMParser().parseFromString(await answer.text(), "text/html") };
}

// Rows come and go without a reload: the page that the button leads to is fetched, and its form put in place.
async function change(button) {
  const { address, isPage, page } = await post(form().action, sent(button));
  const next = page.getElementById("setup");
  if (!isPage || !next) throw new Error("no form came back");
  form().replaceWith(document.adoptNode(next));
  isTyped = false;
  const at = document.getElementById(new URL(address).searchParams.get("at") ?? "");
  at?.querySelector("input, select, textarea")?.focus();
}

async function show() {
  const place = document.getElementById("preview");
  const number = ++preview;
  const { isPage, page } = await post(place.dataset.address, sent());
  if (isPage && number === preview) place.replaceChildren(...page.body.childNodes);
}

function suggest(name) {
  const key = document.getElementById(name.id.replace(/name$/, "key"));
  if (!key || key.disabled || (key.value && key.dataset.suggested !== key.value)) return;
  const plain = name.value.toLowerCase().normalize("NFKD").replace(/[\u0300-\u036f']/g, "");
  key.value = plain.replace(/[^a-z0-9._]+/g, "-").replace(/^[-._]+|[-._]+$/g, "").slice(0, 64);
  key.dataset.suggested = key.value;
}

let waiting;
document.addEventListener("input", (event) => {
  if (!form().contains(event.target)) return;
  isTyped = true;
  if (/(^|\.)name$/.test(event.target.id) && !/^(attributes|arms)/.test(event.target.id)) suggest(event.target);
  if (document.getElementById("preview")) {
    clearTimeout(waiting);
    waiting = setTimeout(() => show().catch(() => {}), PAUSE_MS);
  }
});

document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (event.target !== form() || !/^(add|remove|up|open) /.test(button?.value ?? "")) {
    isTyped = false;
    return;
  }
  event.preventDefault();
  // Whatever goes wrong, the button still does it by itself.
  change(button).catch(() => {
    isTyped = false;
    const again = document.createElement("input");
    Object.assign(again, { type: "hidden", name: "do", value: button.value });
    form().append(again);
    form().submit();
  });
});

addEventListener("beforeunload", (event) => {
  if (isTyped) event.preventDefault();
});
