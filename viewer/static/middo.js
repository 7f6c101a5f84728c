// The theme that a person chose is set before the first paint; everything else works without this.
(() => {
  "use strict";
  const KEY = "middo-theme";
  const root = document.documentElement;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  const stored = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage is off: the theme lasts for this page
    }
  };
  const isDark = () => (root.dataset.theme || (dark.matches ? "dark" : "light")) === "dark";

  const chosen = stored();
  if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;

  // On a narrow page the filters would stand before what they filter: they begin closed.
  const fold = () => {
    const box = document.querySelector("details.facets-box");
    if (box && window.matchMedia("(max-width: 48rem)").matches) box.open = false;
  };
  document.addEventListener("DOMContentLoaded", fold);
  document.addEventListener("htmx:afterSwap", fold);

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.querySelector("button.theme");
    if (!button) return;
    const show = () => button.setAttribute("aria-pressed", String(isDark()));
    button.hidden = false;
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      try {
        localStorage.setItem(KEY, root.dataset.theme);
      } catch {
        // nothing is remembered
      }
      show();
    });
    dark.addEventListener("change", show);
    show();
  });
})();
