"use strict";

/* Two sets of detections of the same images: what the difference of their miss rates is worth, as alfnet/evaluation/compare.py has it. */

const RESAMPLES = 1000;

/** Random numbers from 0 to 1 (mulberry32), the same ones each time. */
function seeded(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** The most false positives that a detection may stand behind to count at each of the protocol's points, ascending. */
function limitsOf(protocol, images) {
  return protocol.points.map((point) => {
    let most = Math.floor(point * images) + 1;
    while (most / images > point) most -= 1;
    // Up to the false positive that reaches the point: those before it are one less than it needs.
    return protocol.atOrAbove && most / images === point ? most - 1 : most;
  });
}

/** The detections that count, best first: {columns: their images, wrong: 1 for a false positive}. `at`: the place of the IoU. */
function rankingOf(outcome, at, stride) {
  const next = new Int32Array(outcome.detections.length);
  const columns = [];
  const wrong = [];
  for (const image of outcome.order) {
    const kind = outcome.detections[image][stride * next[image] + 5 + 2 * at];
    next[image] += 1;
    if (kind > 1) continue; // neither false nor correct
    columns.push(image);
    wrong.push(kind === 0 ? 1 : 0);
  }
  return { columns: Int32Array.from(columns), wrong: Uint8Array.from(wrong) };
}

/**
 * Two rankings as one, best first by the false positives that stand before a detection in its own list; a correct detection
 * goes before a false positive with as many before it. The columns of the second follow those of the first.
 */
function merged(first, second, images) {
  const lists = [first, second];
  const length = first.columns.length + second.columns.length;
  const both = { columns: new Int32Array(length), wrong: new Uint8Array(length) };
  const next = [0, 0];
  const before = [0, 0]; // false positives
  const key = (n) => (next[n] < lists[n].columns.length ? before[n] + 0.5 * lists[n].wrong[next[n]] : Infinity);
  for (let place = 0; place < length; place += 1) {
    const n = key(0) <= key(1) ? 0 : 1;
    const wrong = lists[n].wrong[next[n]];
    both.columns[place] = lists[n].columns[next[n]] + n * images;
    both.wrong[place] = wrong;
    before[n] += wrong;
    next[n] += 1;
  }
  return both;
}

/** The log-average miss rate in percent where each column counts so many times; NaN without people. */
function weightedMissRate({ columns, wrong }, weights, people, limits, floor) {
  let [found, behind, reached, sum] = [0, 0, 0, 0]; // behind so many false positives a detection stands
  const missed = () => Math.log(Math.max(1 - found / people, floor));
  for (let n = 0; n < columns.length && reached < limits.length; n += 1) {
    if (wrong[n]) behind += weights[columns[n]];
    else found += weights[columns[n]];
    for (; behind > limits[reached]; reached += 1) sum += missed();
  }
  for (; reached < limits.length; reached += 1) sum += missed();
  return 100 * Math.exp(sum / limits.length);
}

/** Where 95 % of the values lie; values that are none (nobody drawn) are left out. */
function percentiles(values) {
  const sorted = Float64Array.from(values.filter(Number.isFinite)).sort();
  return [0.025, 0.975].map((share) => {
    const place = share * (sorted.length - 1);
    const low = Math.floor(place);
    return sorted[low] + (place - low) * (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]);
  });
}

/**
 * Compare two rankings: {a, b, low, high, p}, miss rates in percent, the 95 % interval of a - b over resampled images (the same
 * for both) and the p of exchanging both on random images; null without people.
 * images: those that were tested, as columns. pedestrians: their number in each column.
 */
function compareRankings(first, second, images, pedestrians, protocol) {
  const total = images.reduce((sum, image) => sum + pedestrians[image], 0);
  if (!total) return null;
  const limits = limitsOf(protocol, images.length);
  const rate = (list, weights, people) => weightedMissRate(list, weights, people, limits, protocol.floor);
  const once = new Int32Array(pedestrians.length).fill(1);
  const [a, b] = [first, second].map((list) => rate(list, once, total));

  const random = seeded(0);
  const drawn = new Int32Array(pedestrians.length);
  const differences = [];
  for (let n = 0; n < RESAMPLES; n += 1) {
    drawn.fill(0);
    let people = 0;
    for (let i = 0; i < images.length; i += 1) {
      const image = images[Math.floor(random() * images.length)];
      drawn[image] += 1;
      people += pedestrians[image];
    }
    differences.push(rate(first, drawn, people) - rate(second, drawn, people));
  }

  const both = merged(first, second, pedestrians.length);
  const coin = seeded(1);
  const kept = new Int32Array(2 * pedestrians.length);
  const exchanged = new Int32Array(2 * pedestrians.length);
  let extreme = 0;
  for (let n = 0; n < RESAMPLES; n += 1) {
    for (const image of images) {
      const heads = coin() < 0.5 ? 1 : 0;
      kept[image] = exchanged[image + pedestrians.length] = 1 - heads;
      exchanged[image] = kept[image + pedestrians.length] = heads;
    }
    if (Math.abs(rate(both, kept, total) - rate(both, exchanged, total)) >= Math.abs(a - b) - 1e-9) extreme += 1;
  }
  const [low, high] = percentiles(differences);
  return { a, b, low, high, p: (1 + extreme) / (1 + RESAMPLES) };
}

/** The place of a value among ascending bounds, each the first value of the next range. */
const placeAmong = (bounds, value) => bounds.filter((bound) => bound <= value).length;

/** The names of those ranges, in a unit. */
function rangeNames(bounds, unit) {
  const between = bounds.slice(1).map((bound, n) => `${bounds[n]} to ${bound} ${unit}`);
  return [`below ${bounds[0]} ${unit}`, ...between, `from ${bounds.at(-1)} ${unit}`];
}
