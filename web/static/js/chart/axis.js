// The time axis in a chosen zone: its midnights and months are those of the zone, though bars keep their UTC times.

import { defaultHorzScaleBehavior } from "../../vendor/lightweight-charts.js";

const Behavior = defaultHorzScaleBehavior();

export class ZonedAxis extends Behavior {
  // `axis.zone` may change at any time; points are weighed anew when data is set.
  zone = undefined;

  fillWeightsForPoints(points, start) {
    if (!this.zone) return super.fillWeightsForPoints(points, start);
    const from = Math.max(0, start - 1);
    const shown = points.slice(from).map((point) => ({ ...point, time: this.convertHorzItemToInternal(this.zone.shown(this.key(point.time))) }));
    super.fillWeightsForPoints(shown, start - from);
    shown.forEach(({ timeWeight }, index) => { if (from + index >= start) points[from + index].timeWeight = timeWeight; });
  }
}
