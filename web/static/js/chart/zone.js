// Time zones: their names, how far each is from UTC, and moments as their clocks show them. Times are seconds since 1970.

const DAY = 86_400;
const OWN = Intl.DateTimeFormat().resolvedOptions().timeZone;

// The zone of this computer is called "local", so that a copied address shows everyone their own.
export const nameOf = (zone) => (zone === "local" ? OWN : zone);
export const zoneNames = () => Intl.supportedValuesOf?.("timeZone") ?? [];

export function isZone(zone) {
  try {
    return Boolean(zone) && Boolean(new Intl.DateTimeFormat("en", { timeZone: nameOf(zone) }));
  } catch {
    return false;
  }
}

const text = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", ...options });
const DATE = text({ day: "numeric", month: "short", year: "numeric" });
const CLOCK = text({ hour: "2-digit", minute: "2-digit" });
const WEEKDAY = text({ weekday: "short" });
// By lightweight-charts' kinds of ticks: year, month, day, time.
const TICKS = [text({ year: "numeric" }), text({ month: "short" }), text({ day: "numeric" }), CLOCK, CLOCK];

export class Zone {
  constructor(zone) {
    this.parts = new Intl.DateTimeFormat("en", {
      timeZone: nameOf(zone), hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric",
    });
    this.days = new Map();
  }

  // What the zone's clocks show, as if it were UTC.
  shown(time) { return time + this.#offset(time); }

  moment(time, withClock) {
    const then = new Date(this.shown(time) * 1000);
    const date = `${WEEKDAY.format(then)} ${DATE.format(then)}`;
    return withClock ? `${date} ${CLOCK.format(then)}` : date;
  }

  clock(time) { return CLOCK.format(new Date(this.shown(time) * 1000)); }

  tick(time, kind) { return TICKS[kind].format(new Date(this.shown(time) * 1000)); }

  // Of the moment, such as UTC+02:00.
  offsetText(time) {
    const minutes = Math.round(this.#offset(time) / 60);
    const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60].map((part) => String(part).padStart(2, "0"));
    return `UTC${minutes < 0 ? "−" : "+"}${hours}:${rest}`;
  }

  #offset(time) {
    const day = Math.floor(time / DAY);
    const [start, end] = [this.#ofDay(day), this.#ofDay(day + 1)];
    return start === end ? start : this.#exact(time);
  }

  #ofDay(day) {
    if (!this.days.has(day)) this.days.set(day, this.#exact(day * DAY));
    return this.days.get(day);
  }

  #exact(time) {
    const told = Object.fromEntries(this.parts.formatToParts(new Date(time * 1000)).map(({ type, value }) => [type, Number(value)]));
    return Date.UTC(told.year, told.month - 1, told.day, told.hour, told.minute, told.second) / 1000 - Math.floor(time);
  }
}
