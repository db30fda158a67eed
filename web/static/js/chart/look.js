// How the chart looks in the theme of the page.

import { ColorType, CrosshairMode } from "../../vendor/lightweight-charts.js";
import { color } from "../dom.js";

// Bands over the whole height where minutes are missing.
export const BAND = {
  priceScaleId: "missing",
  base: 0,
  autoscaleInfoProvider: () => ({ priceRange: { minValue: 0, maxValue: 1 } }),
};

export function look() {
  const line = { color: color("grid") };
  const cross = { color: color("muted"), labelBackgroundColor: color("label") };
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  return {
    layout: {
      background: { type: ColorType.Solid, color: color("surface") }, textColor: color("muted"),
      fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 12,
      panes: { separatorColor: color("line"), separatorHoverColor: color("raised"), enableResize: true },
    },
    grid: { vertLines: line, horzLines: line },
    crosshair: { mode: CrosshairMode.Normal, vertLine: cross, horzLine: cross },
    rightPriceScale: { borderColor: color("line") },
    timeScale: { borderColor: color("line"), secondsVisible: false, rightOffset: 4 },
    kineticScroll: { touch: !still, mouse: false },
    localization: { locale: "en-GB" },
  };
}
