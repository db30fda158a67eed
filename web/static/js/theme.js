// Light or dark: as the person chose here before, else as their system says. Runs before the page is drawn.
(() => {
  const root = document.documentElement;
  const chosen = localStorage.getItem("theme");
  const system = matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
  root.dataset.theme = ["light", "dark"].includes(chosen) ? chosen : system;
  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme").addEventListener("click", () => {
      root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
      localStorage.setItem("theme", root.dataset.theme);
      document.dispatchEvent(new Event("themechange"));
    });
    const up = document.getElementById("to-top");
    addEventListener("scroll", () => { up.hidden = scrollY < 500; }, { passive: true });
    up.addEventListener("click", () => scrollTo({ top: 0, behavior: "smooth" }));
  });
})();
