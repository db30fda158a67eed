// Light or dark: as the person chose here before, else as their system says. Runs before the page is drawn.
(() => {
  const root = document.documentElement;
  const light = matchMedia("(prefers-color-scheme: light)");
  const system = () => (light.matches ? "light" : "dark");
  const chosen = () => (["light", "dark"].includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : undefined);
  const follow = () => {
    root.dataset.theme = chosen() ?? system();
    document.dispatchEvent(new Event("themechange"));
  };
  follow();
  light.addEventListener("change", follow);
  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme").addEventListener("click", () => {
      // Whoever chooses what the system says follows it from then on.
      const wanted = root.dataset.theme === "dark" ? "light" : "dark";
      if (wanted === system()) localStorage.removeItem("theme");
      else localStorage.setItem("theme", wanted);
      follow();
    });
    const up = document.getElementById("to-top");
    addEventListener("scroll", () => { up.hidden = scrollY < 500; }, { passive: true });
    up.addEventListener("click", () => scrollTo({ top: 0, behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" }));
  });
})();
