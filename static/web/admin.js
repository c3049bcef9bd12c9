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

// A search of a list becomes part of its URL. The secret part of a pasted key or token is removed before the form is sent; the public
// part of a key finds it. The server does the same for what arrives without this script (contextmcp.backoffice.secret_searches).
window.addEventListener(
  "submit",
  (event) => {
    if (event.target.method !== "get") return;
    for (const input of event.target.querySelectorAll("input[name=q]")) {
      input.value = input.value
        .replace(/(cmcp_(?:sk|svc)_(?:(?:live|test)_)?[0-9A-Za-z]{0,12})[0-9A-Za-z]*/gi, "$1")
        .replace(/(cmcp_(?:at|rt|ac)_)[0-9A-Za-z_]*/gi, "$1");
    }
  },
  true,
);
