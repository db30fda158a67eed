// Indicators as they are defined. Each takes arrays as long as the bars, and answers arrays as long, with undefined where
// there are too few bars before.

// The mean of the last `period` values; undefined until so many are there.
export function sma(values, period) {
  let sum = 0;
  let count = 0;
  return values.map((value, index) => {
    if (value === undefined) return undefined;
    sum += value;
    count += 1;
    if (count > period) sum -= values[index - period];
    return count >= period ? sum / period : undefined;
  });
}

// Begins with the mean of the first `period` values; after that each value weighs `weight`, usually 2 / (period + 1).
export function ema(values, period, weight = 2 / (period + 1)) {
  const first = values.findIndex((value) => value !== undefined);
  let mean;
  return values.map((value, index) => {
    if (first < 0 || index < first + period - 1) return undefined;
    mean = mean === undefined ? average(values.slice(first, first + period)) : mean + weight * (value - mean);
    return mean;
  });
}

// The mean, and so many standard deviations (of the whole population, as Bollinger defines them) above and below.
export function bollinger(values, period, deviations) {
  const middle = sma(values, period);
  const spread = middle.map((mean, index) => {
    if (mean === undefined) return undefined;
    const squares = values.slice(index - period + 1, index + 1).map((value) => (value - mean) ** 2);
    return deviations * Math.sqrt(average(squares));
  });
  return { middle, upper: middle.map((mean, i) => plus(mean, spread[i])), lower: middle.map((mean, i) => plus(mean, minus(spread[i]))) };
}

// Wilder's: gains and losses are smoothed with 1 / period.
export function rsi(closes, period) {
  const changes = closes.map((close, index) => (index ? close - closes[index - 1] : undefined));
  const smooth = (take) => ema(changes.map((change) => (change === undefined ? undefined : take(change))), period, 1 / period);
  const gains = smooth((change) => Math.max(0, change));
  const losses = smooth((change) => Math.max(0, -change));
  return gains.map((gain, index) => {
    if (gain === undefined) return undefined;
    if (gain + losses[index] === 0) return 50;
    return (100 * gain) / (gain + losses[index]);
  });
}

export function macd(closes, fast, slow, signalPeriod) {
  const slowly = ema(closes, slow);
  const line = ema(closes, fast).map((value, index) => plus(value, minus(slowly[index])));
  const signal = ema(line, signalPeriod);
  return { line, signal, histogram: line.map((value, index) => plus(value, minus(signal[index]))) };
}

// Of the typical price (high + low + close) / 3, from the start of each session on. `session` answers when a bar's session
// began. The first one's bars are left out where its beginning is not there.
export function vwap(bars, session) {
  let [money, volume, current, whole] = [0, 0, undefined, false];
  return bars.map((bar) => {
    if (session(bar.time) !== current) {
      whole = current !== undefined || session(bar.time) === bar.time;
      [money, volume, current] = [0, 0, session(bar.time)];
    }
    money += ((bar.high + bar.low + bar.close) / 3) * bar.volume;
    volume += bar.volume;
    return whole && volume > 0 ? money / volume : undefined;
  });
}

const average = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const plus = (one, other) => (one === undefined || other === undefined ? undefined : one + other);
const minus = (value) => (value === undefined ? undefined : -value);
