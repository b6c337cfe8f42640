// Comforts only: every page works without them.
"use strict";

const PAUSE_MS = 400;

// Tries the filter while one types, by the same POST that the button makes.
function tryAsTyped(form) {
  let timer = null;
  let asked = 0;
  const sections = form.querySelectorAll("section[data-tried]");

  async function ask() {
    const number = ++asked;
    const data = new URLSearchParams(new FormData(form));
    data.set("try", "1");
    const answer = await fetch(location.href, { method: "POST", body: data });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const tried = page.getElementById("tried");
    // An answer that was overtaken, or the login page, says nothing.
    if (!tried || number !== asked) return;
    document.getElementById("tried").replaceChildren(...tried.childNodes);
    for (const errors of form.querySelectorAll("section[data-tried] [data-errors]")) {
      const now = page.querySelector(`[data-errors="${CSS.escape(errors.dataset.errors)}"]`);
      errors.replaceChildren(...(now ? now.childNodes : []));
    }
  }

  for (const section of sections) {
    section.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => ask().catch(console.warn), PAUSE_MS);
    });
  }
}

function copyOnClick(button) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.querySelector(button.dataset.copy).textContent);
    button.textContent = button.dataset.done;
  });
}

const editor = document.getElementById("editor");
if (editor) tryAsTyped(editor);
// Browsers give the clipboard to pages of https and localhost only.
if (navigator.clipboard) document.querySelectorAll("[data-copy]").forEach(copyOnClick);
