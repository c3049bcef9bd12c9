// Everything works without this; it saves a few presses.
"use strict";

for (const button of document.querySelectorAll("button[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    const said = button.textContent;
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(source);
      button.textContent = "Press Ctrl+C";
    }
    setTimeout(() => { button.textContent = said; }, 2000);
  });
}

// Only one menu is open at a time, and a press elsewhere or Escape closes it.
const menus = [...document.querySelectorAll("details.menu, details.pop")];
const close = (except) => menus.forEach((menu) => { if (menu !== except) menu.open = false; });
for (const menu of menus) menu.addEventListener("toggle", () => { if (menu.open) close(menu); });
document.addEventListener("click", (event) => { close(event.target.closest("details.menu, details.pop")); });
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const open = menus.find((menu) => menu.open);
  close();
  open?.querySelector("summary").focus();
});

// On a narrow screen the present tab may be out of sight.
document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
