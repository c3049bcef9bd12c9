// "/" moves the focus to the search box in the header. It runs before the shortcuts of the admin's lists, which use the same key.
window.addEventListener(
  "keydown",
  (event) => {
    const target = event.target;
    const types = target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName);
    const box = document.getElementById("staff-search-text");
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || types || !box) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    box.focus();
  },
  true,
);
