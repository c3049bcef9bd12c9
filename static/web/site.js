// Every page works without this script.
"use strict";

for (const button of document.querySelectorAll("button[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    const said = button.textContent;
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = button.dataset.copied;
    } catch {
      getSelection().selectAllChildren(source);
      button.textContent = button.dataset.failed;
    }
    setTimeout(() => { button.textContent = said; }, 2000);
  });
}

// What waits for something is requested again until the answer no longer waits. Without this script, the visitor reloads the page.
for (const box of document.querySelectorAll("[data-poll]")) {
  let requests = 0;
  const schedule = () => {
    if (box.querySelector("[data-waiting]")) setTimeout(poll, requests++ < 100 ? 3000 : 15000);
  };
  const poll = async () => {
    try {
      const answer = document.hidden ? null : await fetch(box.dataset.poll);
      // A redirect leads to the sign-in page: the session has ended.
      if (answer?.redirected) return;
      if (answer?.ok) {
        const content = await answer.text();
        if (content.trim() !== box.dataset.content) {
          box.innerHTML = content;
          box.dataset.content = content.trim();
        }
      }
    } catch {
      // The network or the server is away for a moment.
    }
    schedule();
  };
  schedule();
}

// Only one menu is open at a time. A click elsewhere, Escape, or tabbing out of it closes it.
const menus = [...document.querySelectorAll("details.menu, details.popover")];
const close = (except) => menus.forEach((menu) => { if (menu !== except) menu.open = false; });
for (const menu of menus) {
  menu.addEventListener("toggle", () => { if (menu.open) close(menu); });
  menu.addEventListener("focusout", (event) => { if (event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false; });
}
document.addEventListener("click", (event) => { close(event.target.closest("details.menu, details.popover")); });
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const open = menus.find((menu) => menu.open);
  close();
  open?.querySelector("summary").focus();
});

// On a narrow screen the present tab may be out of sight.
document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

// A form is sent once: a second click while the answer is on its way does nothing.
document.addEventListener("submit", (event) => {
  if (event.defaultPrevented) return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "true";
});
addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));
